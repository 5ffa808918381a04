"""The picture that `release status` shows."""

from __future__ import annotations

import click

from release.cli.console.status import age, lines, share
from release.ledger.records import DeploymentRow, DeploymentState, Kind
from release.operations.look import RunView, SlotView, Status

NOW = 1_795_226_400.0  # 2026-11-21T02:00:00Z
LIVE = SlotView(
    "green", "live", 1000, "v1.1.0-abc1234", "running", "good", "2026-11-21T01:00:00.000Z", "shop-green-v1.1.0", 8102
)
STANDBY = SlotView(
    "blue", "standby", 0, "v1.0.0-1234567", "running", "good", "2026-11-20T02:00:00Z", "shop-blue", 8101, 2
)


def picture(width: int = 140, **changes: object) -> list[str]:
    last = DeploymentRow(
        "d-1", Kind.DEPLOY, "v1.1.0-abc1234", DeploymentState.LIVE, "ada", "host", 1, "2026-11-21T01:59:00Z"
    )
    known: dict[str, object] = {
        "scope": "shop-production",
        "url": "http://127.0.0.1:8080",
        "live": LIVE.release,
        "slots": (STANDBY, LIVE),
        "running": None,
        "last": last,
        "target": "v1.0.0-1234567",
        "takes": "warm: one rename",
    }
    return [click.unstyle(line) for line in lines(Status(**(known | changes)), NOW, width)]  # type: ignore[arg-type]


def test_the_live_slot_stands_first_with_share_release_standing_and_age() -> None:
    rows = picture()
    assert rows[0] == "shop-production  http://127.0.0.1:8080"
    shown = "green live 100 % v1.1.0-abc1234 running good 1 h 00 min 8102 shop-green-v1.1.0"
    assert " ".join(rows[4].split()) == shown
    assert rows[5].startswith("blue") and "running (2 restarts)" in rows[5]


def test_the_way_back_and_the_last_run_are_told() -> None:
    rows = picture()
    assert "rollback  to v1.0.0-1234567, warm: one rename" in rows
    assert "last      deploy of v1.1.0-abc1234 by ada: live 1 min 00 s ago" in rows


def test_no_way_back_has_its_reason() -> None:
    assert "rollback  none: it is the first" in picture(target=None, takes="it is the first")


def test_a_run_under_way_shows_its_step_and_who_holds_it() -> None:
    run = RunView("d-2", "v1.2.0-def5678", "deploy", "observe", "2026-11-21T01:58:00Z", "ada", {"pid": 7, "host": "h"})
    rows = picture(running=run)
    assert "now       deploy of v1.2.0-def5678: observe, for 2 min 00 s" in rows
    assert "          d-2 by ada, pid 7 on h" in rows


def test_a_run_without_a_process_is_told_as_such() -> None:
    run = RunView("d-2", "v1.2.0-def5678", "deploy", "observe", "", "ada", None)
    assert "          d-2 by ada; its process is gone" in picture(running=run)


def test_what_differs_is_told_with_its_mend() -> None:
    rows = picture(problems=("traffic goes to green, and nothing runs there: `release rollback`\nsecond line",))
    assert rows[-2:] == ["! traffic goes to green, and nothing runs there: `release rollback`", "    second line"]


def test_a_narrow_terminal_leaves_container_names_out() -> None:
    assert not any("shop-green-v1.1.0" in row for row in picture(width=90))
    assert any("v1.1.0-abc1234" in row for row in picture(width=90))


def test_ages_and_shares_read_well() -> None:
    assert [share(value) for value in (0, 25, 500, 1000)] == ["0 %", "2.5 %", "50 %", "100 %"]
    assert age("2026-11-21T01:59:59.500Z", NOW) == "a moment"
    assert age("2026-11-21T01:59:30.123456789Z", NOW) == "30 s"
    assert age("2026-11-17T02:00:00Z", NOW) == "4 days"
    assert (age("", NOW), age(None, NOW), age("soon", NOW)) == ("", "", "")


def test_a_long_reason_is_cut_to_one_line() -> None:
    last = DeploymentRow(
        "d-2", Kind.DEPLOY, "v1.2.0-def5678", DeploymentState.REFUSED, "ada", "host", 1, "2026-11-21T01:59:00Z",
        exit_code=1, message="quality refused it: " + "very much worse " * 20,
    )  # fmt: skip
    row = next(row for row in picture(width=110, last=last) if row.startswith("last"))
    assert "refused 1 min 00 s ago: quality refused it" in row
    assert len(row) <= 110
