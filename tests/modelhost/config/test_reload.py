"""A reload takes over as a whole or not at all, by call and by a real SIGHUP."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelhost.config.model import Settings
from modelhost.config.reload import Configuration
from modelhost.errors import ConfigError, NoRoom

TEXT = "registry: {root: models}\nmemory: {budget: %s}\ncomponents:\n  model: {}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "serving.yaml"
    path.write_text(TEXT % "1GiB")
    return path


class Follower:
    """Remembers what it is asked to do, and fails where it is told to."""

    def __init__(self, name: str, seen: list[str], fails_at: str = "") -> None:
        self.name, self.seen, self.fails_at = name, seen, fails_at

    def __call__(self, new: Settings, old: Settings) -> "Follower":
        assert new.memory.budget != old.memory.budget
        self._do("prepare")
        return self

    def commit(self) -> None:
        self._do("commit")

    def abort(self) -> None:
        self._do("abort")

    def _do(self, what: str) -> None:
        self.seen.append(f"{self.name} {what}")
        if what == self.fails_at:
            raise NoRoom(f"{self.name} has no room") if what != "abort" else RuntimeError("stuck")


def with_followers(path: Path, **fails_at: str) -> tuple[Configuration, list[str]]:
    configuration, seen = Configuration(path, {}), []  # type: ignore[var-annotated]
    for name in ("a", "b"):
        configuration.follow(name, Follower(name, seen, fails_at.get(name, "")))
    return configuration, seen


def test_all_prepare_before_any_commits(path: Path) -> None:
    configuration, seen = with_followers(path)
    path.write_text(TEXT % "2GiB")
    result = configuration.reload()
    assert (result.ok, result.generation, result.changed) == (True, 2, ("memory",))
    assert configuration.current.memory.budget == 2 << 30
    assert seen == ["a prepare", "b prepare", "a commit", "b commit"]


def test_a_file_that_says_the_same_asks_nobody(path: Path) -> None:
    configuration, seen = with_followers(path)
    path.write_text("# a comment\n" + TEXT % "1024MiB")
    result = configuration.reload()
    assert (result.ok, result.generation, result.changed, seen) == (True, 1, (), [])


def test_a_reload_is_in_the_log_with_who_and_why(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configuration, _ = with_followers(path)
    with caplog.at_level(logging.INFO, "modelhost"):
        path.write_text(TEXT % "2GiB")
        configuration.reload("ann", "more room")
        path.write_text("bugdet: 1\n" + TEXT % "2GiB")
        configuration.reload("SIGHUP")
    taken, refused = [each.getMessage() for each in caplog.records if each.name == "modelhost.config.reload"]
    assert taken == "configuration generation 2 (ann: more room): memory"
    assert refused.startswith("the configuration stays as it was (generation 2) (SIGHUP): ") and "\n" not in refused


def test_a_bad_file_leaves_the_running_one_and_says_why(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configuration, seen = with_followers(path)
    before = configuration.current
    path.write_text(TEXT % "1GiB" + "bugdet: 3\n")
    result = configuration.reload()
    assert not result.ok and result.generation == 1
    assert "serving.yaml, line 5: bugdet is no key" in result.error
    assert configuration.current is before and seen == []
    assert configuration.last_error == result.error
    assert any("stays as it was" in message and "bugdet" in message for message in caplog.messages)
    path.write_text(TEXT % "2GiB")
    assert configuration.reload().ok
    assert configuration.last_error == ""


@pytest.mark.parametrize(
    ("fails_at", "seen_in_order"),
    [
        ({"b": "prepare"}, ["a prepare", "b prepare", "a abort"]),
        ({"a": "prepare"}, ["a prepare"]),
        ({"b": "commit"}, ["a prepare", "b prepare", "a commit", "b commit", "b abort", "a abort"]),
    ],
)
def test_one_that_refuses_takes_all_the_others_back(
    path: Path, fails_at: dict[str, str], seen_in_order: list[str]
) -> None:
    configuration, seen = with_followers(path, **fails_at)
    path.write_text(TEXT % "2GiB")
    result = configuration.reload()
    assert not result.ok and "has no room" in result.error
    assert configuration.current.memory.budget == 1 << 30 and configuration.generation == 1
    assert seen == seen_in_order


def test_one_that_cannot_go_back_keeps_nobody_else_from_it(path: Path) -> None:
    seen: list[str] = []
    configuration = Configuration(path, {})
    for name, fails_at in (("a", ""), ("b", "abort"), ("c", "prepare")):
        configuration.follow(name, Follower(name, seen, fails_at))
    path.write_text(TEXT % "2GiB")
    assert "c refused it: c has no room" in configuration.reload().error
    assert seen[-2:] == ["b abort", "a abort"]


def test_a_file_that_is_gone_leaves_the_running_one(path: Path) -> None:
    configuration = Configuration(path, {})
    path.unlink()
    assert "No such file" in configuration.reload().error
    assert configuration.current.memory.budget == 1 << 30


def test_without_a_first_good_file_there_is_no_configuration(path: Path) -> None:
    path.write_text("nonsense: 1\n")
    with pytest.raises(ConfigError):
        Configuration(path, {})


def test_reloads_side_by_side_happen_one_after_the_other(path: Path) -> None:
    configuration, seen = with_followers(path)
    path.write_text(TEXT % "2GiB")
    threads = [threading.Thread(target=configuration.reload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert configuration.generation == 2
    assert seen == ["a prepare", "b prepare", "a commit", "b commit"]


SERVICE = """
import os, pathlib, sys, time
from modelhost.config.hangup import reload_on_hangup
from modelhost.config.reload import Configuration

configuration = Configuration(pathlib.Path(sys.argv[1]), os.environ)
stop = reload_on_hangup(configuration)
said = None
print("ready", flush=True)
while not os.path.exists(sys.argv[2]):
    now = (configuration.generation, configuration.current.memory.budget, bool(configuration.last_error))
    if now != said:
        print(*now, flush=True)
        said = now
    time.sleep(0.01)
stop()
"""


def test_a_real_hangup_reloads_and_a_bad_file_does_not_end_the_service(path: Path, tmp_path: Path) -> None:
    end = tmp_path / "end"
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(path), str(end)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert service.stdout is not None
    try:
        assert [service.stdout.readline().strip() for _ in range(2)] == ["ready", f"1 {1 << 30} False"]
        for content, line in [
            (TEXT % "2GiB", f"2 {2 << 30} False"),
            ("nonsense: [", f"2 {2 << 30} True"),
            (TEXT % "3GiB", f"3 {3 << 30} False"),
        ]:
            path.write_text(content)
            os.kill(service.pid, signal.SIGHUP)
            got = service.stdout.readline().strip()
            if got != line:  # it looked between the new settings and the error that went away
                got = service.stdout.readline().strip()
            assert got == line
        end.touch()
        assert service.wait(30) == 0
    finally:
        service.kill()
        service.wait()
        service.stdout.close()
