"""One command at work: the desk it works from, the reporter that shows progress, and the one result it prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from release.cli.console import choose, harmless
from release.cli.console.annotation import active
from release.cli.settings import Settings, current
from release.errors import ReleaseError
from release.pipeline.events import Event, Said

if TYPE_CHECKING:
    from release.operations.result import Result
    from release.rollout.hands import Hands
    from release.wiring.desk import Desk
    from release.wiring.models import ModelDesk


class Session:
    """A context manager: at its end the display is at rest, and under GitHub Actions the summary is written."""

    def __init__(self, settings: Settings, *, live: bool = False) -> None:
        self.settings = settings
        self.hands: Hands | None = None
        self._reporter = choose.reporter(settings, live=live)
        self._said = ""
        self._result: Result | None = None

    @classmethod
    def of(cls, context: click.Context, *, live: bool = False) -> Self:
        return cls(current(context), live=live)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._reporter.close()
        known = error if isinstance(error, ReleaseError) else None
        if self.hands is not None and known is not None and "deployment" in known.context:
            with contextlib.suppress(ReleaseError):
                known.context["live"] = _live(self.hands)
        if active() and self.hands is not None:
            from release.cli import workflow

            with contextlib.suppress(OSError, ReleaseError):
                workflow.publish(self.hands, self._result, known)

    def report(self, event: Event) -> None:
        self._said = event.text if isinstance(event, Said) else ""
        self._reporter(event)

    @property
    def desk(self) -> Desk:
        from release.config.state import default_root
        from release.wiring.desk import Desk
        from release.wiring.surroundings import Surroundings

        settings = self.settings
        root = settings.path(settings.state)
        surroundings = Surroundings(
            root=root.absolute() if root is not None else default_root(),
            service=settings.service,
            cwd=settings.cwd,
            manifest=settings.path(settings.manifest),
            overrides=settings.overrides,
        )
        return Desk(self.report, surroundings)

    @property
    def model_desk(self) -> ModelDesk:
        from release.wiring.models import ModelDesk

        return ModelDesk(self.desk)

    def for_scope(self) -> tuple[Desk, Hands]:
        """Desk and hands for what is deployed already."""
        desk = self.desk
        self.hands = desk.for_scope()
        return desk, self.hands

    # -- results

    def done(self, result: Result) -> int:
        """Prints how an operation ended and gives its exit code."""
        self._result = result
        self._reporter.close()
        document = {
            "ok": result.exit_code == 0,
            "exit_code": result.exit_code,
            "outcome": str(result.outcome),
            "text": result.text,
            "deployment": result.deployment,
            "release": result.release,
            "data": result.data,
        }
        heard = self._said == result.text and not self.settings.quiet and _one_screen()
        return self.show(document, lambda: [] if heard else [result.text], result.exit_code)

    def show(self, document: Mapping[str, Any], lines: Callable[[], list[str]], exit_code: int = 0) -> int:
        """Prints the document with --json, else the lines. A reader that left early changes no exit code."""
        with contextlib.suppress(BrokenPipeError):
            if self.settings.json:
                text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
                click.echo(text.replace("##[", "##\\u005b"))  # the same JSON, and no workflow command
            else:
                for line in lines():
                    click.echo(
                        harmless.no_command(harmless.plain_but_coloured(line)), color=choose.coloured(sys.stdout)
                    )
        return exit_code


def _live(hands: Hands) -> str:
    """What serves after a run that did not end well; whoever reads its error asks that first."""
    from release.operations.result import live_release

    traffic = hands.proxy.switch.get()
    return (live_release(hands, traffic.live) if traffic is not None else None) or "nothing"


def _one_screen() -> bool:
    """True where stdout and stderr are the same terminal or file, so that a sentence need not stand there twice."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
