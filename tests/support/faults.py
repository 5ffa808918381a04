"""Faults: a command killed at a chosen row of its journal, and what must hold once the next command has settled it."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.site import Ran, Site

# Gates that take a moment: what is tried here is the pipeline, not the models. Every step of a deployment is there.
FAST: dict[str, Any] = {
    "checks": {
        "health": {"settle": "100ms"},
        "warmup": {"requests": 3},
        "latency": {"requests": 20},
        "quality": {"resamples": 100},
    },
    "rollout": {"observe": {"for": "1s", "min_requests": 5}},
    # The last two are the time for a SIGKILL before traffic moves, and before a run is over; `lingering` gives more.
    "hooks": {
        "before_start": "sleep 0.2",
        "before_switch": "sleep 0.5 $LINGER_BEFORE_SWITCH",
        "after_commit": "sleep 0.5 $LINGER_AFTER_COMMIT",
    },
}
STEPS = (
    "resolve",
    "preflight",
    "obtain",
    "before_start",
    "start",
    "health",
    "warmup",
    "contract",
    "integration",
    "quality",
    "latency",
    "push",
    "before_switch",
    "nginx",
    "switch",
    "observe",
    "commit",
    "after_commit",
    "retire",
)


@dataclass(frozen=True)
class Row:
    deployment: str
    kind: str
    step: str
    state: str


def rows(site: Site, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Looks into the ledger from outside; nothing where there is none yet. Whoever opens or leaves it may be in the way
    for a moment."""
    path = site.state / site.scope / "ledger.db"
    end = time.monotonic() + 60
    while path.exists():
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
    return []


def last_deployment(site: Site) -> str:
    found = rows(site, "SELECT id FROM deployments ORDER BY number DESC LIMIT 1")
    return str(found[0][0]) if found else ""


def begun_after(site: Site, before: str) -> str:
    """The deployment that began after `before`; empty where none has yet."""
    last = last_deployment(site)
    return "" if last == before else last


def journal(site: Site, deployment: str) -> list[tuple[str, str]]:
    sql = "SELECT step, state FROM steps WHERE deployment = ? ORDER BY number"
    return [(str(step), str(state)) for step, state in rows(site, sql, deployment)]


def await_row(site: Site, before: str, step: str, state: str, process: subprocess.Popen[str]) -> None:
    """Returns as soon as the run that began after `before` has written this row. Fails where it ends without it."""

    def written() -> bool:
        run = begun_after(site, before)
        return bool(run) and (step, state) in journal(site, run)

    await_ledger(written, process, f"{step} {state}")


def await_started(site: Site, before: str, process: subprocess.Popen[str]) -> None:
    """Returns as soon as the ledger has a run that began after `before`. Fails where the process ends without one."""
    await_ledger(lambda: bool(begun_after(site, before)), process, "it had begun")


def await_ledger(written: Callable[[], bool], process: subprocess.Popen[str], what: str) -> None:
    end = time.monotonic() + 120
    while True:
        ended = process.poll() is not None  # asked first: what it wrote before its end is seen after it
        if written():
            return
        if ended:
            out, err = process.communicate()
            raise AssertionError(f"ended with {process.returncode} before {what}:\n{out}\n{err}")
        assert time.monotonic() < end, f"it never came to {what}"
        time.sleep(0.001)


def lingering(site: Site, step: str) -> Site:
    """The same site, where hooks from `step` on take ten seconds longer: time to end a command that has come there."""
    at = STEPS.index(step)
    hooks = {f"LINGER_{hook.upper()}": "10" for hook in ("before_switch", "after_commit") if at <= STEPS.index(hook)}
    return replace(site, environment=site.environment | hooks)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the command alone, as an out-of-memory killer does it: what it started lives on."""
    process.kill()
    process.communicate()


def signalled(site: Site, step: str, number: signal.Signals, *arguments: str, state: str = "started") -> Any:
    """Runs a command, sends it a signal once it has written this row, and gives how it ended: code, out, err."""
    before = last_deployment(site)
    process = lingering(site, step).start(*arguments)
    await_row(site, before, step, state, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def deploy_killed_at(site: Site, tag: str, step: str, state: str, delay: float = 0.0) -> str:
    """Gives the id of the deployment that was killed once it had written this row."""
    before = last_deployment(site)
    process = lingering(site, step).start("deploy", tag)
    await_row(site, before, step, state, process)
    time.sleep(delay)
    kill(process)
    return begun_after(site, before)


def containers(site: Site) -> dict[str, str]:
    """Name and state of each container, the deployment's id cut off its name: a rerun has another one."""
    return dict(sorted(site.containers().items()))


def files(site: Site) -> list[str]:
    """What lies in the state directory beside logs, caches, flags and the ledger itself."""
    root = site.state
    kept = ("nginx/logs", "nginx/tmp", "traffic/shares", "answers", ".cache")
    found = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root)).removeprefix(f"{site.scope}/")
        if not name.startswith(kept) and not name.startswith("ledger.db") and not path.is_dir():
            found.append(name)
    return found


def nothing_left_behind(site: Site, files_before: list[str], images_before: list[str], *, image: str = "") -> None:
    """No unfinished run, held lock, scratch folder, stray file, build leftover or untagged image."""
    assert rows(site, "SELECT id, release FROM deployments WHERE state = 'running'") == []
    work = site.state / site.scope / "work"
    assert list(work.iterdir()) == [], "a scratch folder is left"
    assert not (site.state / ".snapshots").exists(), "a copy of a working tree is left"
    assert [name for name in files(site) if name not in files_before] == []
    new = set(site.images()) - set(images_before)
    assert all(image and image in name for name in new), f"images are left: {new}"
    for lock in ("deployment.lock", "traffic.lock", "rollback.lock"):
        assert lock_is_free(site.state / site.scope / "locks" / lock), f"{lock} is held"


def lock_is_free(path: Path) -> bool:
    if not path.exists():
        return True
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def served(site: Site, clients: int = 3) -> Iterator[Any]:
    """A load for as long as the block lasts; not one of its requests may fail."""
    with site.load(clients=clients) as load:
        yield load
    assert load.result is not None
    assert load.result.failed == 0, (load.result.reasons, load.result.failures[:5])
    assert load.result.requests > 0


def two_releases(site: Site) -> None:
    """v1.0.0 as the standby, v1.1.0 live, v1.2.0 tagged."""
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        site.repository.release(tag, manifest=FAST)
    for tag in ("v1.0.0", "v1.1.0"):
        deployed(site, tag)
    assert str(site.live).startswith("v1.1.0-")


def deployed(site: Site, tag: str) -> Ran:
    """Deploys, and lets `unobserved` pass: it is not what is tried here."""
    ran = site.deploy(tag, expect=None)
    assert ran.code in (0, 7), ran.err
    return ran
