"""What the ledger keeps, what it refuses to change, and what it says when its file is not usable."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config.secret import Secret
from release.errors import LedgerError, Refused, UsageError
from release.ledger import rows, schema
from release.ledger.database import Database
from release.ledger.journal import Journal
from release.ledger.records import (
    DeploymentRow,
    DeploymentState,
    Kind,
    ReleaseRow,
    Standing,
    StepState,
    SwitchRow,
)
from release.ledger.store import ATTACHMENT_BYTES, Ledger, LedgerFull
from release.verdict import Outcome, Verdict


def test_a_release_comes_back_as_it_was_saved(ledger: Ledger, release_row: ReleaseRow) -> None:
    saved = replace(release_row, created_at="2026-01-01T00:00:00.000Z", digest="sha256:dd", barrier=True, size=7)
    assert ledger.save_release(saved) == saved
    assert ledger.release(saved.name) == saved
    assert ledger.release("v9.9.9-0000000") is None


def test_saving_a_release_again_changes_its_mutable_parts_only(ledger: Ledger, release_row: ReleaseRow) -> None:
    first = ledger.save_release(release_row)
    again = replace(
        release_row, config={"other": 1}, secrets={}, digest="sha256:dd", size=9, standing=Standing.GOOD, reason="seen"
    )
    kept = ledger.save_release(again)
    assert kept == replace(first, digest="sha256:dd", size=9, standing=Standing.GOOD, reason="seen")


def test_an_empty_field_does_not_overwrite_what_is_known(ledger: Ledger, release_row: ReleaseRow) -> None:
    known = replace(
        release_row,
        created_at="t",
        digest="sha256:dd",
        size=9,
        standing=Standing.REJECTED,
        reason="worse",
        last_live_at="t2",
    )
    ledger.save_release(known)
    assert ledger.save_release(release_row) == known


@pytest.mark.parametrize("change", [{"image_id": "sha256:bb"}, {"commit": "abc1234" + "1" * 33}])
def test_another_image_or_commit_under_a_known_name_is_refused(
    ledger: Ledger, release_row: ReleaseRow, change: dict[str, str]
) -> None:
    before = ledger.save_release(release_row)
    with pytest.raises(Refused) as refusal:
        ledger.save_release(replace(release_row, digest="sha256:dd", **change))
    assert next(iter(change.values())) in str(refusal.value) and refusal.value.hint
    assert ledger.release(release_row.name) == before


def test_releases_are_listed_by_when_they_were_last_live(ledger: Ledger, release_row: ReleaseRow) -> None:
    for number, name in enumerate(["v1.0.0-aaaaaaa", "v1.1.0-bbbbbbb", "v1.2.0-ccccccc"]):
        ledger.save_release(replace(release_row, name=name, created_at=f"2026-01-0{number + 1}T00:00:00.000Z"))
    ledger.mark_live("v1.0.0-aaaaaaa", "2026-02-01T00:00:00.000Z")
    assert [r.name for r in ledger.releases()] == ["v1.0.0-aaaaaaa", "v1.2.0-ccccccc", "v1.1.0-bbbbbbb"]


def test_a_standing_is_kept_with_who_gave_it_and_why(ledger: Ledger, release_row: ReleaseRow) -> None:
    ledger.save_release(release_row)
    ledger.set_standing(release_row.name, Standing.REJECTED, "4 BLEU worse", "alice")
    row = ledger.release(release_row.name)
    assert row is not None and (row.standing, row.reason) == (Standing.REJECTED, "4 BLEU worse")
    (note,) = ledger.notes(kind="standing")
    assert note.data == {"release": release_row.name, "standing": "rejected", "actor": "alice"}


def test_what_a_deployment_learns_of_its_release_is_kept(ledger: Ledger, release_row: ReleaseRow) -> None:
    first = ledger.save_release(release_row)
    ledger.set_digest(release_row.name, "sha256:dd")
    ledger.set_config(release_row.name, {"container": {"port": 6000}}, {"API_KEY": "ba9876543210"})
    ledger.renew_image(release_row.name, "sha256:bb", 99)
    assert ledger.release(release_row.name) == replace(
        first,
        digest="sha256:dd",
        config={"container": {"port": 6000}},
        secrets={"API_KEY": "ba9876543210"},
        image_id="sha256:bb",
        size=99,
    )
    with pytest.raises(UsageError, match="v9"):
        ledger.set_digest("v9.9.9-0000000", "sha256:dd")


def test_an_unknown_release_is_a_usage_error_and_leaves_no_note(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="v9"):
        ledger.set_standing("v9.9.9-0000000", Standing.GOOD, "", "alice")
    with pytest.raises(UsageError, match="v9"):
        ledger.mark_live("v9.9.9-0000000")
    assert ledger.notes() == []


def test_a_deployment_is_begun_updated_and_finished(ledger: Ledger, deployment_row: DeploymentRow) -> None:
    ledger.begin(deployment_row)
    assert ledger.unfinished() == [deployment_row]
    ledger.update("d-1", slot="green", previous_release="v1.1.0-bbbbbbb", epoch=3)
    ledger.finish("d-1", DeploymentState.LIVE, 0, "live")
    row = ledger.deployment("d-1")
    assert row is not None and row.ended_at is not None
    assert row == replace(
        deployment_row,
        slot="green",
        previous_release="v1.1.0-bbbbbbb",
        epoch=3,
        state=DeploymentState.LIVE,
        exit_code=0,
        message="live",
        ended_at=row.ended_at,
    )
    assert ledger.unfinished() == []


def test_facts_are_merged_and_the_rest_of_a_deployment_cannot_be_rewritten(
    ledger: Ledger, deployment_row: DeploymentRow
) -> None:
    ledger.begin(replace(deployment_row, facts={"a": 1}))
    ledger.remember("d-1", b=[1, 2])
    ledger.remember("d-1", a=None, c={"x": "y"})
    row = ledger.deployment("d-1")
    assert row is not None and row.facts == {"a": None, "b": [1, 2], "c": {"x": "y"}}
    with pytest.raises(ValueError, match="actor"):
        ledger.update("d-1", actor="mallory")
    with pytest.raises(LedgerError, match="d-2"):
        ledger.update("d-2", slot="green")
    with pytest.raises(LedgerError, match="d-2"):
        ledger.remember("d-2", a=1)


def test_deployments_are_listed_newest_first_and_filtered(ledger: Ledger, deployment_row: DeploymentRow) -> None:
    for number in range(4):
        kind = Kind.ROLLBACK if number == 2 else Kind.DEPLOY
        ledger.begin(replace(deployment_row, id=f"d-{number}", kind=kind, release=f"v1.{number % 2}.0-abc1234"))
    assert [d.id for d in ledger.deployments()] == ["d-3", "d-2", "d-1", "d-0"]
    assert [d.id for d in ledger.deployments(limit=2)] == ["d-3", "d-2"]
    assert [d.id for d in ledger.deployments(release="v1.0.0-abc1234")] == ["d-2", "d-0"]
    assert [d.id for d in ledger.deployments(kind=Kind.ROLLBACK)] == ["d-2"]


def test_the_journal_numbers_steps_within_each_deployment(ledger: Ledger) -> None:
    journal, other = Journal(ledger, "d-1"), Journal(ledger, "d-2")
    journal.started("start")
    other.skipped("push", "no registry")
    journal.done("start", "container c1", seconds=0.5)
    journal.started("health")
    journal.failed("health", "503 for 60 s", seconds=60.0)
    journal.undoing("start")
    journal.undone("start")
    assert [(s.number, s.step, s.state) for s in ledger.steps("d-1")] == [
        (1, "start", StepState.STARTED),
        (2, "start", StepState.DONE),
        (3, "health", StepState.STARTED),
        (4, "health", StepState.FAILED),
        (5, "start", StepState.UNDOING),
        (6, "start", StepState.UNDONE),
    ]
    assert journal.last() == {"start": StepState.UNDONE, "health": StepState.FAILED}
    assert [(s.number, s.detail) for s in other.rows()] == [(1, "no registry")]
    assert journal.rows()[1].seconds == 0.5 and journal.write("start", StepState.UNDO_FAILED, "engine gone").number == 7


def test_verdicts_come_back_with_their_evidence(ledger: Ledger) -> None:
    verdicts = [
        Verdict("quality", Outcome.FAIL, "4 BLEU worse", {"tables": [{"rows": [["你好", "Hello"]]}]}, 12.5),
        Verdict("latency", Outcome.NO_DATA, "no answer"),
    ]
    for verdict in verdicts:
        ledger.save_verdict("d-1", verdict)
    assert ledger.verdicts("d-1") == verdicts
    assert ledger.verdicts("d-2") == []


def test_switches_are_listed_newest_first_and_by_deployment(ledger: Ledger) -> None:
    there = SwitchRow("d-1", "t1", None, 1000, 38.5, "v1.2.0-abc1234", "alice", "deploy")
    back = SwitchRow("d-2", "t2", 1000, 0, 40.0, "v1.1.0-bbbbbbb", "bob", "rollback")
    ledger.save_switch(there)
    ledger.save_switch(back)
    assert ledger.switches() == [back, there]
    assert ledger.switches(limit=1) == [back]
    assert ledger.switches(deployment="d-1") == [there]


def test_notes_are_filtered_by_kind_and_deployment(ledger: Ledger) -> None:
    ledger.note("notification", "could not reach chat", "d-1", url="json://…")
    ledger.note("warning", "disk nearly full")
    assert [n.text for n in ledger.notes()] == ["disk nearly full", "could not reach chat"]
    (note,) = ledger.notes(kind="notification", deployment="d-1")
    assert note.data == {"url": "json://…"}
    assert len(ledger.notes(limit=1)) == 1 and ledger.notes(deployment="d-2") == []


def test_an_attachment_keeps_its_end_and_whole_characters(ledger: Ledger) -> None:
    ledger.attach("d-1", "candidate.log", "first\n" + "译" * ATTACHMENT_BYTES + "\nlast")
    kept = ledger.attachment("d-1", "candidate.log")
    assert kept is not None and kept.endswith("译\nlast") and "first" not in kept and "\ufffd" not in kept
    assert ATTACHMENT_BYTES - 3 <= len(kept.encode()) <= ATTACHMENT_BYTES
    ledger.attach("d-1", "candidate.log", "short")
    assert ledger.attachment("d-1", "candidate.log") == "short"
    assert ledger.attachments("d-1") == ["candidate.log"]
    assert ledger.attachment("d-1", "none") is None


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(), st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=4))
def test_any_text_and_any_json_can_be_kept(text: str, data: dict[str, object]) -> None:
    assert rows.column(text).encode() == text.encode("utf-8", "replace")
    connection = sqlite3.connect(":memory:")
    (kept,) = connection.execute("SELECT ?", (rows.to_json(data),)).fetchone()
    assert rows.json.loads(kept) == data


def test_undecodable_bytes_and_foreign_values_do_not_stop_a_row(ledger: Ledger) -> None:
    ledger.note(
        "log", b"caf\xe9".decode("utf-8", "surrogateescape"), path=Path("/x"), key=Secret("hunter2"), both={2, 1}
    )
    (note,) = ledger.notes()
    assert note.text == "caf?" and note.data == {"path": "/x", "key": "Secret(…)", "both": [1, 2]}


def test_each_of_several_processes_that_raise_the_epoch_gets_another_one(tmp_path: Path) -> None:
    """All three also create the file at the same time."""
    script = (
        "import sys\n"
        "from release.ledger.store import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "print(*(ledger.raise_epoch() for _ in range(25)))\n"
    )
    path = tmp_path / "ledger.db"
    command = [sys.executable, "-c", script, str(path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    epochs = [int(epoch) for worker in workers for epoch in worker.communicate(timeout=240)[0].split()]
    assert sorted(epochs) == list(range(1, 76))
    with Ledger(path, readonly=True) as ledger:
        assert ledger.epoch() == 75


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    threads = [threading.Thread(target=lambda: [ledger.note("n", "t") for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.notes()) == 80


def test_a_reader_sees_whole_rows_while_another_writes(ledger: Ledger, release_row: ReleaseRow) -> None:
    ledger.save_release(release_row)
    done = threading.Event()

    def write() -> None:
        for number in range(100):
            standing = Standing.GOOD if number % 2 else Standing.REJECTED
            ledger.save_release(replace(release_row, standing=standing, reason=standing.value))
        done.set()

    writer = threading.Thread(target=write)
    with Ledger(ledger.path, readonly=True) as reader:
        writer.start()
        seen = []
        while not done.is_set() or not seen:
            row = reader.release(release_row.name)
            assert row is not None
            seen.append(row)
        writer.join()
        assert all(row.reason in ("", row.standing.value) for row in seen)
        last = reader.release(release_row.name)
        assert last is not None and last.standing is Standing.GOOD


def test_a_row_outlives_a_process_that_is_killed_right_after_writing_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from release.ledger.store import Ledger\n"
        "from release.ledger.records import StepState\n"
        "ledger = Ledger(sys.argv[1])\n"
        "ledger.step('d-1', 'switch', StepState.STARTED)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path / "ledger.db")], check=False)
    assert run.returncode == -9
    with Ledger(tmp_path / "ledger.db") as ledger:
        assert [s.step for s in ledger.steps("d-1")] == ["switch"]


def test_commits_are_synced_to_the_disk(ledger: Ledger) -> None:
    settings = {name: ledger._database.rows(f"PRAGMA {name}")[0][0] for name in ("synchronous", "journal_mode")}
    assert settings == {"synchronous": 2, "journal_mode": "wal"}


def test_an_interrupted_transaction_leaves_nothing_behind(ledger: Ledger) -> None:
    with pytest.raises(KeyboardInterrupt):
        with ledger._database.transaction() as connection:
            connection.execute("UPDATE state SET value = 99")
            raise KeyboardInterrupt
    assert ledger.epoch() == 0 and ledger.raise_epoch() == 1


def test_the_file_is_for_the_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with Ledger(tmp_path / "ledger.db") as ledger:
            ledger.note("n", "t")
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob("ledger.db*")}
    finally:
        os.umask(before)
    assert modes == {"ledger.db": 0o660, "ledger.db-wal": 0o660, "ledger.db-shm": 0o660}


# -- migrations ------------------------------------------------------------------------------------------------

_SECOND = "ALTER TABLE releases ADD COLUMN team TEXT; CREATE TABLE extra (x INTEGER)"


def test_an_older_ledger_becomes_a_newer_one_with_its_rows(tmp_path: Path, release_row: ReleaseRow) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.save_release(release_row)
    newer = Database(path, migrations=(*schema.MIGRATIONS, _SECOND))
    (row,) = newer.rows("SELECT name, team FROM releases")
    assert tuple(row) == (release_row.name, None)
    assert newer.rows("PRAGMA user_version")[0][0] == len(schema.MIGRATIONS) + 1
    newer.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    with pytest.raises(LedgerError):
        Database(path, migrations=(*schema.MIGRATIONS, _SECOND + "; CREATE TABLE releases (x)"))
    with Ledger(path) as ledger:
        names = {row[0] for row in ledger._database.rows("SELECT name FROM sqlite_master")}
        assert "releases" in names and "extra" not in names


def test_a_ledger_of_a_newer_version_is_left_alone_and_the_way_out_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Database(path, migrations=(*schema.MIGRATIONS, _SECOND)).close()
    with pytest.raises(LedgerError, match=r"schema 3.*knows up to 2") as refusal:
        Ledger(path)
    assert refusal.value.hint is not None and "upgrade" in refusal.value.hint


def test_an_older_ledger_is_not_migrated_by_looking(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    with pytest.raises(LedgerError, match="older schema"):
        Database(path, readonly=True, migrations=(*schema.MIGRATIONS, _SECOND))


# -- files that are not usable ---------------------------------------------------------------------------------


def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database at all, " * 1000)
    with pytest.raises(LedgerError, match="damaged") as refusal:
        Ledger(path)
    assert refusal.value.hint is not None and f"mv {path}" in refusal.value.hint


def test_a_file_with_torn_pages_is_a_ledger_error(tmp_path: Path, release_row: ReleaseRow) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.save_release(release_row)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(LedgerError, match="damaged"), Ledger(path) as ledger:
        ledger.releases()


def test_a_row_that_was_edited_into_nonsense_is_a_ledger_error(ledger: Ledger, release_row: ReleaseRow) -> None:
    ledger.save_release(release_row)
    with ledger._database.transaction() as connection:
        connection.execute("UPDATE releases SET standing = 'splendid'")
    with pytest.raises(LedgerError, match="splendid"):
        ledger.releases()


def test_a_foreign_database_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE cookies (x)")
    foreign.commit()
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger(path)
    assert path.read_bytes() == before


def test_looking_at_a_ledger_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        Ledger(tmp_path / "ledger.db", readonly=True)
    with pytest.raises(LedgerError, match="cannot be created"):
        Ledger(tmp_path / "nowhere" / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_looking_writes_nothing(ledger: Ledger) -> None:
    with Ledger(ledger.path, readonly=True) as reader, pytest.raises(LedgerError):
        reader.raise_epoch()
    assert ledger.epoch() == 0


def test_a_writer_that_holds_on_is_reported_as_busy(ledger: Ledger) -> None:
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="busy"):
        ledger.raise_epoch()
    other.close()
    assert ledger.raise_epoch() == 1


def test_a_full_disk_is_recognised_and_the_ledger_works_again_with_room(
    small_disk: Path, fill: Callable[[Path], None], release_row: ReleaseRow
) -> None:
    with Ledger(small_disk / "ledger.db") as ledger:
        ledger.save_release(release_row)
        fill(small_disk)
        with pytest.raises(LedgerFull) as full:
            for _ in range(200):
                ledger.attach("d-1", f"log-{_}", "x" * 50_000)
        assert full.value.full and full.value.hint is not None and "df -h" in full.value.hint
        assert ledger.release(release_row.name) is not None
        (small_disk / "ballast").unlink()
        ledger.note("n", "there is room again")
        assert len(ledger.notes()) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_a_ledger_on_a_full_disk_can_be_looked_at_with_its_latest_row(
    small_disk: Path, fill: Callable[[Path], None], killed: bool
) -> None:
    script = (
        "import os, sys\n"
        "from release.ledger.store import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "ledger.note('n', 'the latest')\n"
        f"os._exit(0) if {killed} else ledger.close()\n"
    )
    path = small_disk / "ledger.db"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert (small_disk / "ledger.db-wal").exists() is killed
    fill(small_disk)
    with Ledger(path, readonly=True) as ledger:
        assert [note.text for note in ledger.notes()] == ["the latest"]


def test_a_ledger_opened_on_a_full_disk_answers_and_writes_once_there_is_room(
    small_disk: Path, fill: Callable[[Path], None]
) -> None:
    path = small_disk / "ledger.db"
    with Ledger(path) as ledger:
        ledger.note("n", "before")
    fill(small_disk)
    with Ledger(path) as ledger:
        for _ in range(2):
            with pytest.raises(LedgerFull):
                ledger.raise_epoch()
            assert ledger.epoch() == 0 and len(ledger.notes()) == 1
        (small_disk / "ballast").unlink()
        assert ledger.raise_epoch() == 1


def test_no_ledger_can_begin_on_a_full_disk(small_disk: Path, fill: Callable[[Path], None]) -> None:
    fill(small_disk)
    for _ in range(2):
        with pytest.raises(LedgerFull):
            Ledger(small_disk / "ledger.db")
    (small_disk / "ballast").unlink()
    with Ledger(small_disk / "ledger.db") as ledger:
        assert ledger.raise_epoch() == 1


def test_a_ledger_in_a_directory_that_may_not_be_written_can_be_looked_at(release_row: ReleaseRow) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody who may not write")
    script = (
        "import os, sys\n"
        "from release.ledger.store import Ledger\n"
        "os.setgid(65534); os.setgroups([]); os.setuid(65534)\n"
        "print(Ledger(sys.argv[1], readonly=True).releases()[0].name)\n"
        "Ledger(sys.argv[1]).raise_epoch()\n"
    )
    with tempfile.TemporaryDirectory() as place:  # tmp_path lies behind directories that nobody may enter
        path = Path(place) / "ledger.db"
        with Ledger(path) as ledger:
            ledger.save_release(release_row)
        path.chmod(0o664)
        path.parent.chmod(0o755)
        run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == release_row.name
    assert "LedgerError" in run.stderr and "join the group" in run.stderr
