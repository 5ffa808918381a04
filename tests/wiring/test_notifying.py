"""Whoever cannot be told of what happened is recorded, and fails nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from release.config.load import parse
from release.config.stored import to_ledger
from release.notify import Occasion
from release.pipeline.events import Event, Said
from release.rollout.hands import Hands
from release.wiring.desk import Desk
from release.wiring.surroundings import Surroundings
from tests.support.ports import free_port

MANIFEST = "service: shop\ncontainer: {port: 80}\nnotify: [NOTIFY]\n"

Open = Callable[[str], tuple[Hands, list[Event]]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Hands for a service whose `notify` has that address, and what they report."""

    def opened(notify: str) -> tuple[Hands, list[Event]]:
        said: list[Event] = []
        desk = Desk(said.append, Surroundings(root=tmp_path, cwd=tmp_path, environ={"HOOK": "t0kent0ken"}))
        manifest, _ = parse(MANIFEST.replace("NOTIFY", notify), "release.yaml", environ=desk.surroundings.environ)
        return desk.hands(manifest, to_ledger(manifest)), said

    return opened


def test_an_address_that_does_not_answer_is_a_warning_and_a_note_without_its_secret(opened: Open) -> None:
    hands, said = opened(f"'json://127.0.0.1:{free_port()}/${{HOOK}}'")
    with hands.ledger:
        hands.notify(Occasion.ROLLED_BACK, "v1.0.0-abcdef1", "it was worse", None)
        (note,) = hands.ledger.notes("notification failed")
        (warning,) = said
    assert isinstance(warning, Said) and warning.level == "warning"
    assert warning.text == f"a notification failed: {note.text}"
    assert "json://127.0.0.1" in note.text and "t0kent0ken" not in note.text


def test_a_ledger_that_takes_no_note_fails_nothing_either(opened: Open) -> None:
    hands, said = opened(f"'json://127.0.0.1:{free_port()}'")
    hands.ledger.close()
    hands.notify(Occasion.DEPLOYED, "v1.0.0-abcdef1", "", "v1.0.0-abcdef1")
    assert [type(event) for event in said] == [Said]
