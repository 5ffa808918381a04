"""Those named under `notify` are told; what cannot be told is recorded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from release.errors import ManifestError, ReleaseError
from release.pipeline.events import Said
from release.rollout import identity
from release.rollout.hands import Hands

if TYPE_CHECKING:
    from release.notify import Occasion


def notify(hands: Hands, occasion: Occasion, release: str, reason: str, live: str | None) -> None:
    """Tells those named under `notify`; one that fails is recorded and fails nothing."""
    from release.notify import Event, Notifier

    event = Event(occasion, hands.scope, release, reason, live, hands.actor, identity.host())
    try:
        failures = Notifier(list(hands.manifest.notify)).send(event)
    except ManifestError as error:
        failures = [error.message]
    for failure in failures:
        hands.report(Said(f"a notification failed: {failure}", "warning"))
        with contextlib.suppress(ReleaseError):
            hands.ledger.note("notification failed", failure)
