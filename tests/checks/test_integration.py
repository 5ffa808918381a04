"""The integration gate: a real pytest suite in a process of its own, against a real service."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from release.checks.integration import IntegrationCheck
from release.config.checks import Integration
from release.verdict import Outcome
from tests.support.ports import free_port


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., None]:
    """Writes files of a suite into the subject's tree."""

    def write(**files: str) -> None:
        folder = tmp_path / "tree" / "tests" / "integration"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))

    return write


def gone(pid: int) -> bool:
    """True once no such process runs; a zombie that nobody has reaped yet is gone as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_suite_that_passes_passes_with_fixtures_environment_and_its_own_conftest(serve, subject, suite) -> None:
    suite(
        conftest="""
            import pytest
            @pytest.fixture
            def word():
                return "hello"
        """,
        test_it="""
            import os
            def test_url(candidate_url, candidate_release):
                assert candidate_url == os.environ["RELEASE_CANDIDATE_URL"]
                assert candidate_release == os.environ["RELEASE_RELEASE"] == "v2.0.0-bbbbbbb"
                assert os.environ["GREETING"] == "hi"
            def test_session(candidate, word):
                assert candidate.post("/echo", json={"a": word}).json() == {"path": "/echo", "body": {"a": "hello"}}
                assert candidate.get(candidate.get("/x").url).status_code == 200
        """,
    )
    service = serve(lambda _, path, body: (200, {"path": path, "body": body}))
    verdict = IntegrationCheck(Integration()).run(subject(service.url, env={"GREETING": "hi"}))
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, "2 tests passed")
    assert verdict.evidence["tests"] == 2


def test_the_projects_pytest_configuration_holds_and_options_from_outside_do_not(
    serve, subject, suite, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite(check_it="def check_one(candidate_url): pass\ndef check_two(candidate_url): assert False")
    (tmp_path / "tree" / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npython_files = "check_*.py"\npython_functions = "check_*"\n'
    )
    monkeypatch.setenv("PYTEST_ADDOPTS", "--deselect tests/integration/check_it.py::check_two")
    verdict = IntegrationCheck(Integration()).run(subject(serve(lambda *_: (200, b"")).url))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("1 of 2 tests failed; tests/integration/check_it::check_two: ")


def test_a_failed_assertion_fails_with_its_message_and_is_never_retried(serve, subject, suite) -> None:
    suite(
        test_it="""
            def test_good(candidate): assert candidate.get("/").ok
            def test_bad(candidate): assert candidate.get("/sum").json() == {"sum": 3}
        """
    )
    service = serve(lambda *_: (200, {"sum": 4}))
    verdict = IntegrationCheck(Integration(retries=5)).run(subject(service.url))
    assert verdict.outcome is Outcome.FAIL
    assert "1 of 2 tests failed" in verdict.reason and "{'sum': 4}" in verdict.reason
    assert [path for _, path, _ in service.requests] == ["/", "/sum"]
    ((failure),) = verdict.evidence["failed"]
    assert failure["test"] == "tests/integration/test_it::test_bad"
    assert "test_it.py:3: AssertionError" in failure["message"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "tests/integration does not exist"),
        ({"test_it": "X = 1"}, "holds no test"),
        ({"test_it": "import pytest\n@pytest.mark.skip\ndef test_a(): pass"},
         "every test of tests/integration was skipped"),
        ({"test_it": "import no_such_module"}, "could not be run (pytest exit code 2)"),
        ({"conftest": "raise SystemExit(3)", "test_it": "def test_a(): pass"}, "could not be run"),
        ({"test_it": "import os\ndef test_a(): os._exit(0)"}, "left no report"),
    ],
)  # fmt: skip
def test_a_suite_that_did_not_run_is_no_data_and_never_a_pass(serve, subject, suite, files, said: str) -> None:
    if files:
        suite(**files)
    verdict = IntegrationCheck(Integration()).run(subject(serve(lambda *_: (200, b"")).url))
    assert verdict.outcome is Outcome.NO_DATA
    assert said in verdict.reason


def test_unknown_options_are_no_data(serve, subject, suite) -> None:
    suite(test_it="def test_a(): pass")
    verdict = IntegrationCheck(Integration(args=("--no-such-option",))).run(subject(serve(lambda *_: (200, b"")).url))
    assert verdict.outcome is Outcome.NO_DATA
    assert any("--no-such-option" in line for line in verdict.evidence["log"])


HANGS = """
    import os, pathlib, subprocess, time
    def test_hang():
        child = subprocess.Popen(["sleep", "600"])
        pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
"""


def test_a_suite_that_hangs_is_no_data(subject, suite) -> None:
    suite(test_it=HANGS)
    verdict = IntegrationCheck(Integration(timeout="1s")).run(subject("http://127.0.0.1:1"))
    assert verdict.outcome is Outcome.NO_DATA
    assert verdict.reason == "tests/integration did not end within 1 s"


def test_an_interruption_ends_the_suite_and_all_it_started(subject, suite, tmp_path, stopped) -> None:
    suite(test_it=HANGS)
    pids = tmp_path / "tree" / "pids"

    def alive() -> None:
        if pids.exists() and pids.read_text().count(" "):
            raise stopped

    with pytest.raises(stopped):
        IntegrationCheck(Integration(timeout="60s")).run(subject("http://127.0.0.1:1", alive=alive))
    started = [int(pid) for pid in pids.read_text().split()]
    deadline = time.monotonic() + 60  # a killed process needs a moment of the processor to die
    while not all(map(gone, started)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in started if not gone(pid)] == []


def test_the_first_connection_is_tried_again_while_the_port_opens(subject, suite) -> None:
    suite(test_it='def test_late(candidate): assert candidate.get("/").text == "late"')
    port = free_port()

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.write(b"late")

        def log_message(self, *_: object) -> None:
            pass

    servers: list[HTTPServer] = []

    def open_late() -> None:
        time.sleep(3)
        servers.append(HTTPServer(("127.0.0.1", port), Late))
        servers[0].serve_forever(0.02)

    threading.Thread(target=open_late, daemon=True).start()
    try:
        verdict = IntegrationCheck(Integration(retries=7)).run(subject(f"http://127.0.0.1:{port}"))
        assert verdict.outcome is Outcome.PASS, verdict.reason
    finally:
        while not servers:
            time.sleep(0.05)
        servers[0].shutdown()
        servers[0].server_close()


def test_without_a_candidate_the_plugin_only_says_how(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_a(candidate_url): pass\ndef test_b(): pass")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RELEASE_", "PYTEST_"))}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    ended = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "1 passed, 1 error" in ended.stdout
    assert "set RELEASE_CANDIDATE_URL=http://host:port" in ended.stdout
