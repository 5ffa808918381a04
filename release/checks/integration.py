"""Integration: the service's own pytest suite, run in a process of its own against the candidate's URL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release.checks import junit
from release.checks.base import RELEASE, RETRIES, URL, Subject
from release.checks.junit import Totals
from release.children import child
from release.verdict import Verdict, failed, no_data, passed

if TYPE_CHECKING:
    from release.config.checks import Integration

_POLL = 0.1
_GRACE = 2.0  # seconds between SIGINT and SIGKILL
_TAIL = 40  # lines of the suite's output kept as evidence
# pytest's exit codes (docs.pytest.org, "Exit codes")
_ALL_PASSED, _SOME_FAILED, _NONE_COLLECTED = 0, 1, 5


class IntegrationCheck:
    """The suite runs once; a failed assertion is never retried.

    pytest runs under the toolkit's interpreter with the export as working directory, so the project's own conftest and
    pytest configuration hold. `PYTEST_ADDOPTS` is dropped: it could deselect what the gate is there to ask.
    """

    name = "integration"

    def __init__(self, section: Integration) -> None:
        self._section = section

    def run(self, subject: Subject) -> Verdict:
        suite = self._section.suite
        if not (subject.tree / suite.partition("::")[0]).exists():
            hint = "commit the suite, name another under checks.integration.suite, or remove the section"
            return no_data(self.name, f"{suite} does not exist in this release", hint=hint)
        log, report = subject.work / "integration.log", subject.work / "integration.xml"
        begin = time.monotonic()
        try:
            code = self._pytest(subject, log, report)
        except OSError as error:
            return no_data(self.name, f"pytest could not be started: {error}")
        evidence: dict[str, Any] = {"suite": suite, "seconds": round(time.monotonic() - begin, 2), "exit_code": code}
        if code is None:
            evidence["log"] = _tail(log)
            return no_data(self.name, f"{suite} did not end within {self._section.timeout:g} s", **evidence)
        return self._judge(code, junit.read(report), _tail(log), evidence)

    def _pytest(self, subject: Subject, log: Path, report: Path) -> int | None:
        """pytest's exit code, None past the timeout. Its whole process group is gone when this returns or raises."""
        argv = [sys.executable, "-P", "-m", "pytest", self._section.suite, *self._section.args,
                "-p", "release_candidate", "-p", "no:cacheprovider", f"--junitxml={report}"]  # fmt: skip
        deadline = time.monotonic() + self._section.timeout
        told = time.monotonic()
        with log.open("wb") as output:
            suite = child(
                argv, _end, cwd=subject.tree, env=self._environment(subject), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            with suite as process:
                while process.poll() is None:
                    subject.alive()
                    if time.monotonic() >= deadline:
                        return None
                    if time.monotonic() - told >= 1:
                        told = time.monotonic()
                        subject.progress(f"integration {told - deadline + self._section.timeout:.0f} s")
                    time.sleep(_POLL)
                return int(process.returncode)

    def _environment(self, subject: Subject) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        ours = {
            URL: subject.candidate.url,
            RELEASE: subject.candidate.release,
            RETRIES: str(self._section.retries),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return inherited | subject.env | ours

    def _judge(self, code: int, totals: Totals | None, log: list[str], evidence: dict[str, Any]) -> Verdict:
        if totals is not None:
            evidence |= {"tests": totals.tests, "passed": totals.passed, "skipped": totals.skipped}
            evidence["failed"] = [{"test": name, "message": message} for name, message in totals.failures]
            if totals.failures:
                rows = [[name, message.partition("\n")[0]] for name, message in totals.failures]
                evidence["tables"] = [{"title": "Failed tests", "columns": ["test", "message"], "rows": rows}]
        if code == _ALL_PASSED and totals is not None and totals.passed and not totals.failures:
            left = f", {totals.skipped} skipped" if totals.skipped else ""
            return passed(self.name, f"{totals.passed} tests passed{left}", **evidence)
        evidence["log"] = log
        if code == _SOME_FAILED and totals is not None and totals.failures:
            name, message = totals.failures[0]
            reason = f"{len(totals.failures)} of {totals.tests} tests failed; {name}: {message.partition(chr(10))[0]}"
            return failed(self.name, reason, **evidence)
        return no_data(self.name, _why_nothing(self._section.suite, code, totals), **evidence)


def _why_nothing(suite: str, code: int, totals: Totals | None) -> str:
    if code == _NONE_COLLECTED:
        return f"{suite} holds no test"
    if code == _ALL_PASSED:
        skipped = totals.skipped if totals else 0
        return f"every test of {suite} was skipped ({skipped})" if skipped else f"{suite} left no report of its tests"
    if totals is not None and totals.failures:
        name, message = totals.failures[0]
        return f"{suite} could not be run (pytest exit code {code}); {name}: {message.partition(chr(10))[0]}"
    return f"{suite} could not be run: pytest ended with code {code}; the end of its output is in the evidence"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the suite, after a moment for its fixtures' teardown, and whatever it started and left running."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
