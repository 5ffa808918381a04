"""The service of docs/modelhost*.md is what its readers get: under 40 lines, published, started, switched, asked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
import yaml

from modelhost.registry.publish import publish
from tests.support.ports import free_port, free_ports

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(?:python|yaml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _files() -> dict[str, str]:
    """Every file that the pages give a name to, each once."""
    found = [
        block for page in sorted((ROOT / "docs").glob("modelhost*.md")) for block in BLOCK.findall(page.read_text())
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def _serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "warning"]
    return subprocess.Popen(command, cwd=folder, env=_environment())


def _run(folder: Path, *command: str) -> str:
    made = subprocess.run(
        [sys.executable, *command], cwd=folder, env=_environment(), capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _lay_out(folder: Path) -> str:
    """Writes the files, publishes two versions, adds a token and returns it."""
    for name, text in _files().items():
        (folder / name).write_text(text)
    for version, french in (("1.0.0", "Bonjour"), ("1.1.0", "Salut")):
        (folder / f"phrases-{version}").mkdir()
        phrases = json.dumps({"en": f"Hello from {version}", "fr": french})
        (folder / f"phrases-{version}" / "phrases.json").write_text(phrases)
    _run(folder, "publish.py", "1.0.0", "stable")
    _run(folder, "publish.py", "1.1.0")
    return _run(folder, "-m", "modelhost.http.tokens", "add", "ann", "operator")


def _eventually(ask: Any, wanted: Any) -> None:
    deadline = time.monotonic() + 120
    seen: Any = None
    while seen != wanted:
        assert time.monotonic() < deadline, f"{seen} instead of {wanted}"
        try:
            seen = ask()
        except requests.ConnectionError:
            time.sleep(0.05)


def test_the_service_has_fewer_than_forty_lines() -> None:
    lines = [line for line in _files()["service.py"].splitlines() if line.strip()]
    assert 10 < len(lines) < 40
    assert len(_files()["service.py"].splitlines()) < 40


def test_the_service_runs_routes_switches_and_reloads(tmp_path: Path) -> None:
    token = _lay_out(tmp_path)
    port = free_port()
    server = _serve(tmp_path, port)
    at, bearer = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}

    def greet(language: str) -> tuple[str, str]:
        answer = requests.get(f"{at}/greet/{language}", timeout=30)
        return answer.json()["text"], answer.headers["X-Model-Version"]

    try:
        _eventually(lambda: greet("en"), ("Hello from 1.0.0", "1.0.0"))
        _eventually(lambda: greet("fr"), ("Salut", "1.1.0"))
        asked = {"version": "1.1.0", "reason": "the trial went well"}
        promoted = requests.post(f"{at}/promote/phrases", json=asked, headers=bearer, timeout=30)
        assert promoted.status_code == 200, promoted.text
        assert greet("en") == ("Hello from 1.1.0", "1.1.0")
        back = requests.post(f"{at}/rollback/phrases", json={"reason": "it did not"}, headers=bearer, timeout=30)
        assert back.json()["versions"] == {"phrases": "1.0.0"}
        assert greet("en") == ("Hello from 1.0.0", "1.0.0")
        _eventually(lambda: greet("fr"), ("Bonjour", "1.0.0"))
        trail = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        assert [line["what"] for line in trail if line["result"] == "done"] == ["promote", "rollback"]
        text = (tmp_path / "modelhost.yaml").read_text()
        (tmp_path / "modelhost.yaml").write_text(text.replace("ttl: 10m", "ttl: 5m"))
        server.send_signal(signal.SIGHUP)
        status = {"Authorization": f"Bearer {token}"}

        def generation() -> int:
            answer = requests.get(f"{at}/status", headers=status, timeout=30).json()
            number: int = answer["configuration"]["generation"]
            return number

        _eventually(generation, 2)

        def reloads() -> list[tuple[str, str, list[str], str]]:
            trail = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
            return [(e["who"], e["why"], e["target"], e["result"]) for e in trail if e["what"] == "reload"]

        taken = ("signal", "SIGHUP", ["components"], "done")
        _eventually(reloads, [taken])
        (tmp_path / "modelhost.yaml").write_text("nonsense: [")
        server.send_signal(signal.SIGHUP)
        _eventually(reloads, [taken, ("signal", "SIGHUP", [], "refused")])
        recorded = (tmp_path / "requests.jsonl").read_text().splitlines()
        assert json.loads(recorded[0])["preview"] == "en"
    finally:
        server.terminate()
        assert server.wait(60) in (0, -signal.SIGTERM)


def test_where_nothing_stable_is_left_the_fallback_answers_as_written(tmp_path: Path) -> None:
    token = _lay_out(tmp_path)
    text = (tmp_path / "modelhost.yaml").read_text()
    (tmp_path / "modelhost.yaml").write_text(text.replace("{ttl: 10m}", '{ttl: 10m, fallback: "fallbacks:plain"}'))
    port = free_port()
    server = _serve(tmp_path, port)
    at, bearer = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}
    try:
        _eventually(lambda: requests.get(f"{at}/greet/en", timeout=30).json()["text"], "Hello from 1.0.0")
        back = requests.post(f"{at}/rollback/phrases", json={"reason": "worse"}, headers=bearer, timeout=30)
        assert (back.json()["fallbacks"], back.json()["notes"]) == (["phrases"], ["a fallback serves"])
        answer = requests.get(f"{at}/greet/en", timeout=30)
        assert (answer.json()["text"], answer.headers["X-Model-Fallback"]) == ("Hello", "phrases")
    finally:
        server.terminate()
        assert server.wait(60) in (0, -signal.SIGTERM)


def test_a_version_and_its_mate_are_published_with_the_metadata_as_written(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("1 2 3")
    about = yaml.safe_load(_files()["model.yaml"]) | {"version": "1.1.0", "note": "more news"}
    mate = {**about, "component": "tokenizer", "mates": {}}
    there = publish(tmp_path / "models", {"words.txt": tmp_path / "weights.txt"}, mate, who="ann").entry
    entry = publish(
        tmp_path / "models", {"weights.txt": tmp_path / "weights.txt"}, {**about, "component": "model"}, who="ann"
    ).entry
    assert entry.info.mates == {"tokenizer": there.info.digest}


def test_weights_of_torch_are_loaded_by_the_stock_loader_as_written(tmp_path: Path) -> None:
    files = _files()
    (tmp_path / "weights.py").write_text(files["weights.py"])
    (tmp_path / "out").mkdir()
    about = re.search(r"^about = \{.*?^\}$", files["publish.py"], re.MULTILINE | re.DOTALL)
    assert about is not None
    (tmp_path / "try.py").write_text(
        "import platform, torch, weights\n"
        "from modelhost.host.host import ModelHost\n"
        "from modelhost.registry.base import Status\n"
        "from modelhost.registry.directory import DirectoryRegistry\n"
        "from modelhost.registry.publish import publish\n"
        "text, version = {'name': 'x', 'datatype': 'FP32', 'shape': [-1, 4]}, '1.0.0'\n"
        f"{about[0]}\n"
        "about |= {'component': 'model', 'loader': 'safetensors'}\n"
        "about['environment'] = {'python': platform.python_version(), 'packages': {'torch': torch.__version__}}\n"
        "module = weights.build(None)\n"
        "weights.save(module, 'out')\n"
        "publish('models', 'out', about, who='ann')\n"
        "DirectoryRegistry('models').mark('model', version, Status.STABLE, 'ann', 'looked at')\n"
        "open('modelhost.yaml', 'w').write('registry: {root: models}\\ncomponents: {model: {threads: 1}}\\n')\n"
        "with ModelHost.open('modelhost.yaml', weights.loaders, hangup=False) as host:\n"
        "    asked = torch.ones(1, 4)\n"
        "    with host.request() as models:\n"
        "        print(torch.equal(models['model'].model(asked), module(asked)))\n"
    )
    assert _run(tmp_path, "try.py") == "True"


def test_with_the_line_of_the_cluster_processes_switch_together_and_one_that_was_killed_catches_up(
    tmp_path: Path,
) -> None:
    token = _lay_out(tmp_path)
    with (tmp_path / "modelhost.yaml").open("a") as file:
        file.write((tmp_path / "cluster.yaml").read_text())
    bearer = {"Authorization": f"Bearer {token}"}
    ports = free_ports(2)
    servers = [_serve(tmp_path, port) for port in ports]

    def ask(number: int, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{ports[number]}{path}", headers=bearer, timeout=30)

    def tell(number: int, path: str, **body: Any) -> requests.Response:
        at = f"http://127.0.0.1:{ports[number]}{path}"
        return requests.post(at, json=body, headers=bearer, timeout=120)

    def greetings() -> list[str]:
        return [ask(number, "/greet/en").json().get("text", "") for number in (0, 1)]

    def members() -> tuple[int, list[str]]:
        told = ask(0, "/status").json()
        living = [row for row in told["cluster"]["members"] if row["living"] is not False]
        return len(living), [row["member"] for row in told["behind"]]

    try:
        _eventually(greetings, ["Hello from 1.0.0"] * 2)
        _eventually(members, (2, []))
        promoted = tell(1, "/promote/phrases", version="1.1.0", reason="the trial went well", expected_generation=1)
        assert (promoted.status_code, promoted.json()["behind"]) == (200, []), promoted.text
        assert greetings() == ["Hello from 1.1.0"] * 2
        late = tell(0, "/promote/phrases", version="1.0.0", reason="seen long ago", expected_generation=1)
        assert (late.status_code, late.json()["generation"], late.json()["versions"]) == (409, 2, {"phrases": "1.1.0"})
        servers[1].kill()
        servers[1].wait(60)
        back = tell(0, "/rollback/phrases", reason="it did not")
        assert back.json()["versions"] == {"phrases": "1.0.0"}, back.text
        servers[1] = _serve(tmp_path, ports[1])
        _eventually(lambda: ask(1, "/v2/health/ready").status_code, 200)
        assert greetings() == ["Hello from 1.0.0"] * 2
        _eventually(lambda: "modelhost_cluster_committed_generation 3.0" in ask(1, "/metrics").text, True)
    finally:
        for server in servers:
            server.terminate()
        assert [server.wait(60) in (0, -signal.SIGTERM) for server in servers] == [True, True]
