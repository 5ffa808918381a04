"""Runs the jobs of a workflow here, as GitHub's runner would: real shells, the files it hands to steps, `needs`, `if`.

What an action would do is done by plain means: a checkout is a git clone at the ref, and setup-python, which only
brings an interpreter, is nothing, for one is here. An action or expression that is not known here fails the test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
# What GitHub runs where a step names no shell, and where it names bash.
SHELLS = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}


def load(path: Path) -> dict[str, Any]:
    """The workflow; YAML 1.1 reads its key `on` as true, which is put right."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True, workflow.get("on"))
    return dict(workflow)


@dataclass
class Step:
    """A step that was run: exit code None where its condition did not hold."""

    job: str
    name: str
    exit_code: int | None
    output: str = ""
    seconds: float = 0.0


@dataclass
class Hosted:
    """A runner for one workflow of one repository. `contexts` are GitHub's: github, inputs, vars, secrets; `machines`
    is what the machine of a job adds to the environment, for each job is at home on another one."""

    workflow: dict[str, Any]
    repository: Path
    home: Path
    contexts: dict[str, dict[str, str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ran: list[Step] = field(default_factory=list)
    summaries: dict[str, str] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)

    def run(self) -> bool:
        """Every job after those it needs; a job whose need failed is not run. True where all were green."""
        green: dict[str, bool] = {}
        waiting = dict(self.workflow["jobs"])
        while waiting:
            name = next(name for name, job in waiting.items() if not _needs(job) & waiting.keys())
            job = waiting.pop(name)
            green[name] = all(green[need] for need in _needs(job)) and Job(self, name, job).run()
        return all(green.values())


class Job:
    """One job on a fresh machine: an empty workspace, a temporary folder, a PATH that its steps may add to."""

    def __init__(self, host: Hosted, name: str, job: dict[str, Any]) -> None:
        self.host, self.name, self.job = host, name, job
        self.root = host.home / name
        self.workspace, self.temp = self.root / "work", self.root / "temp"
        self.temp.mkdir(parents=True)
        self.workspace.mkdir()
        self.failed = False
        self.path: list[str] = []
        self.env: dict[str, str] = {}

    def run(self) -> bool:
        for number, step in enumerate(self.job["steps"]):
            label = step.get("name", f"step {number}")
            if not self.holds(step.get("if")):
                self.host.ran.append(Step(self.name, label, None))
            elif "uses" in step:
                self.use(step)
                self.host.ran.append(Step(self.name, label, 0))
            else:
                began = time.monotonic()
                code, output = self.shell(step, number)
                self.failed |= code != 0
                self.host.ran.append(Step(self.name, label, code, output, time.monotonic() - began))
        return not self.failed

    def use(self, step: dict[str, Any]) -> None:
        action = step["uses"].split("@")[0]
        options = {key: self.fill(str(value)) for key, value in step.get("with", {}).items()}
        if action == "actions/checkout":
            self.checkout(options)
        elif action == "actions/upload-artifact":
            self.host.artifacts.append(Path(options["path"]))
        else:
            assert action == "actions/setup-python", f"{action} is not known here"

    def checkout(self, options: dict[str, str]) -> None:
        """`fetch-depth: 0` brings every tag; persist-credentials is about a token that no clone here has."""
        assert options["fetch-depth"] == "0"
        run = {"cwd": self.workspace, "check": True, "capture_output": True}
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(self.host.repository), "."], **run)
        subprocess.run(["git", "checkout", "--quiet", "--detach", options["ref"]], **run)

    def shell(self, step: dict[str, Any], number: int) -> tuple[int, str]:
        """Exit code and output of a `run:` step, with its outputs, environment, path and summary taken in."""
        script = self.temp / f"{number}.sh"
        script.write_text(self.fill(step["run"]), encoding="utf-8")
        files = {name: self.temp / f"{number}-{name}" for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        env = {
            **self.host.environment,
            **self.host.machines.get(self.name, {}),
            **self.contexts_as_environment(),
            **{f"GITHUB_{name}": str(file) for name, file in files.items()},
            **self.filled(self.host.workflow.get("env")),
            **self.filled(self.job.get("env")),
            **self.env,
            **self.filled(step.get("env")),
        }
        env["PATH"] = os.pathsep.join([*reversed(self.path), env["PATH"]])
        done = subprocess.run(
            [*SHELLS[step.get("shell")], str(script)],
            cwd=self.workspace,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.path += files["PATH"].read_text().split()
        self.env |= dict(line.split("=", 1) for line in files["ENV"].read_text().splitlines())
        self.host.summaries[f"{self.name}/{step.get('name', number)}"] = files["STEP_SUMMARY"].read_text()
        return done.returncode, done.stdout

    def contexts_as_environment(self) -> dict[str, str]:
        github = self.host.contexts["github"]
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_TRACKING_ID": "github_test",
            **{f"GITHUB_{name.upper()}": value for name, value in github.items()},
        }

    def filled(self, values: Mapping[str, Any] | None) -> dict[str, str]:
        return {name: self.fill(str(value)) for name, value in (values or {}).items()}

    def fill(self, text: str) -> str:
        return EXPRESSION.sub(lambda match: str(self.value(match[1])), text)

    def holds(self, condition: str | None) -> bool:
        """A condition without a status function holds only while nothing has failed."""
        text = "success()" if condition is None else EXPRESSION.sub(r"\1", str(condition))
        if not re.search(r"\b(success|failure|always|cancelled)\(\)", text):
            text = f"success() && {text}"
        return bool(self.value(text))

    def value(self, expression: str) -> Any:
        """The part of GitHub's expressions that workflows here use: `||`, `&&`, `==`, `!`, contexts, text, status."""
        text = expression.strip()
        for operator in ("||", "&&"):
            if operator in text:
                left, _, right = text.partition(operator)
                value = self.value(left)
                return value if bool(value) is (operator == "||") else self.value(right)
        if "==" in text:
            left, _, right = text.partition("==")
            return self.value(left) == self.value(right)
        if text.startswith("!"):
            return not self.value(text[1:])
        if text[:1] == text[-1:] == "'":
            return text[1:-1]
        status = {"always()": True, "success()": not self.failed, "failure()": self.failed, "cancelled()": False}
        if text in status:
            return status[text]
        context, _, name = text.partition(".")
        contexts = {**self.host.contexts, "runner": {"temp": str(self.temp)}}
        assert context in contexts, f"the expression {text!r} is not known here"
        return contexts[context].get(name, "")


def _needs(job: dict[str, Any]) -> set[str]:
    needs = job.get("needs", [])
    return {needs} if isinstance(needs, str) else set(needs)


def runner_environment(home: Path) -> dict[str, str]:
    """What a runner's steps find: a system PATH with the Python that runs this first, a home of their own, and how
    this machine reaches its package indexes and its Docker Engine."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "DOCKER_", "LANG"))}
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    interpreter = str(Path(sys.executable).resolve().parent)
    return {**kept, "HOME": str(home), "PATH": f"{interpreter}:{system}"}
