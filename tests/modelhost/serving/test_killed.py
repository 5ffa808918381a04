"""A rollback whose process is killed, at each call into the file system and around the flip: what a restart finds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhost.errors import RegistryUnavailable
from modelhost.registry.base import Status, StatusChange
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.verify import check_files
from modelhost.serving.course import Courses
from modelhost.serving.history import Kind, Outcome
from modelhost.serving.swap import Swapper
from modelhost.serving.switching import Switching
from tests.modelhost.serving.workshop import Workshop, answer

ROOT = Path(__file__).parents[3]
MATES = {"model": "2.0.0", "tokenizer": "2.0.0"}
BEFORE = {"model": "1.0.0", "tokenizer": "1.0.0"}

# Serves, then rolls back and kills itself: `before the flip`, `after the flip`, or at the n-th call into the file
# system from the beginning of the rollback. Says `serves …` when it serves, `flipped` when it flipped.
ROLLBACK = """
import os, signal, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from modelhost.serving.live import Live
from tests.modelhost.serving.workshop import Workshop

CALLS = {"open", "os.rename", "os.mkdir", "os.remove", "os.truncate", "fcntl.flock", "os.scandir"}
moment = sys.argv[3]
serving = Workshop(Path(sys.argv[2])).serve({"model": "2.0.0", "tokenizer": "2.0.0"}, keep_previous=True)
flip = Live.flip

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def flipping(*arguments, **options):
    if moment == "before the flip":
        killed()
    took = flip(*arguments, **options)
    os.write(1, b"flipped\\n")
    if moment == "after the flip":
        killed()
    return took

if moment.isdigit():
    left = int(moment)
    def count(event, arguments):
        global left
        if event in CALLS:
            if left <= 0:  # below it where two threads counted at once
                killed()
            left -= 1
    sys.addaudithook(count)
Live.flip = flipping
serving.rollback(who="bob", reason="translates nonsense")
os.write(1, b"done\\n")
os._exit(0)
"""


@dataclass
class End:
    """How a rollback ended: whether it was killed, and how far it came."""

    killed: bool
    flipped: bool


@pytest.fixture
def there(shop: Workshop) -> Workshop:
    """1.0.0 of both served before; the processes of the tests serve 2.0.0."""
    for version in ("1.0.0", "2.0.0"):
        digest = shop.publish("tokenizer", version)
        shop.publish("model", version, mates={"tokenizer": digest})
    shop.serve(BEFORE)
    return shop


def rolled_back(shop: Workshop, moment: str) -> End:
    command = [sys.executable, "-c", ROLLBACK, str(ROOT), str(shop.path), moment]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return End(ended.returncode != 0, "flipped" in ended.stdout)


def assert_whole(shop: Workshop) -> None:
    """The registry reads as it should, each version in it is as it was published, and every line of the history."""
    registry = DirectoryRegistry(shop.root)
    for component in ("model", "tokenizer"):
        assert [entry.version for entry in registry.versions(component)] == ["2.0.0", "1.0.0"]
        for entry in registry.versions(component):
            check_files(entry, full=True)
        registry.log(component)
    for line in (shop.path / "history.jsonl").read_bytes().split(b"\n")[:-1]:
        assert json.loads(line)["generation"] > 0


def assert_sane_after_a_restart(shop: Workshop, end: End) -> str:
    """What served last serves, never what was left, and two restarts agree; returns which."""
    assert_whole(shop)
    again = shop.serve()
    again.start()
    words = answer(again)
    versions = dict(again.current().versions)
    rejected = {name: shop.registry.find(name, "2.0.0").status is Status.REJECTED for name in versions}
    assert set(rejected.values()) in ({True}, {False}), "both, or none"
    assert versions == (BEFORE if rejected["model"] else MATES)
    if end.flipped:
        assert versions == BEFORE, "users had it already"
    assert again.current().generation == max(record.generation for record in again.history.records())
    assert len({(r.kind, r.generation) for r in again.history.switches()}) == len(again.history.switches())
    once_more = shop.serve()
    once_more.start()
    assert answer(once_more) == words
    return versions["model"]


@pytest.mark.parametrize(("moment", "flipped"), [("before the flip", False), ("after the flip", True)])
def test_killed_around_the_flip_it_has_gone_back(there: Workshop, moment: str, flipped: bool) -> None:
    end = rolled_back(there, moment)
    assert end == End(killed=True, flipped=flipped)
    assert [record.outcome for record in there.serve().history.records()][-1] is Outcome.SWITCHED
    assert assert_sane_after_a_restart(there, end) == "1.0.0"
    last = there.registry.log("model")[-1]
    assert (last.version, last.status, last.who, last.why) == ("2.0.0", Status.REJECTED, "bob", "translates nonsense")


def test_killed_at_every_call_into_the_file_system_it_is_whole_and_a_restart_is_sane(
    tmp_path: Path, there: Workshop
) -> None:
    import shutil

    seen: dict[str, int] = {}
    number = 0
    while True:
        copy = tmp_path / f"killed-{number}"
        shutil.copytree(there.path, copy, symlinks=True, ignore=lambda _, names: [n for n in names if "killed" in n])
        shop = Workshop(copy)
        try:
            end = rolled_back(shop, str(number))
            version = assert_sane_after_a_restart(shop, end)
        finally:
            shop.end()
        if not end.killed:
            assert version == "1.0.0"
            break
        seen[version] = seen.get(version, 0) + 1
        number += 1
    assert seen.keys() == {"1.0.0", "2.0.0"}, "killed early nothing has happened, killed late it has"


class Away(DirectoryRegistry):
    """A registry that cannot be written."""

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        raise RegistryUnavailable("the file system is read-only")


def test_what_could_not_be_marked_is_marked_at_the_next_start(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"}, registry=Away(shop.root))
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    record = serving.rollback(who="bob", reason="worse")
    assert "read-only" in " ".join(record.notes)
    assert shop.registry.find("model", "2.0.0").status is Status.STABLE
    shop.serve().start()
    assert shop.registry.find("model", "2.0.0").status is Status.REJECTED


def test_what_somebody_called_stable_since_stays_so(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    serving.rollback(who="bob", reason="worse")
    shop.mark("model", "2.0.0", Status.STABLE)
    shop.serve().start()
    assert shop.registry.find("model", "2.0.0").status is Status.STABLE


def test_a_rollback_that_somebody_was_faster_than_is_refused_once_and_has_not_happened(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    write, done = serving.history.append, []
    parts = Switching(
        serving.registry, serving.pool, serving.live, serving.history, serving.events, lambda: datetime.now(UTC)
    )
    follower = Swapper(parts, Courses(serving.pool))  # flips past the swaps and rollbacks asked for here, as a member

    def meanwhile(record: object) -> str:
        said = write(record)  # type: ignore[arg-type]
        if getattr(record, "outcome", None) is Outcome.BEGUN and not done:
            done.append(follower.swap({"model": "3.0.0"}, who="ann", why="newest"))
        return said

    serving.history.append = meanwhile  # type: ignore[method-assign]
    with pytest.raises(Exception, match="generation 3 serves by now"):
        serving.rollback(who="bob", reason="worse")
    rollbacks = [record for record in serving.history.records() if record.kind is Kind.ROLLBACK]
    assert [record.outcome for record in rollbacks] == [Outcome.REFUSED]
    assert answer(serving) == {"model": "model 3.0.0"}
    again = shop.serve()
    again.start()
    assert answer(again) == {"model": "model 3.0.0"}
    assert shop.registry.find("model", "2.0.0").status is Status.STABLE
