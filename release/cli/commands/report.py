"""`release report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from release.cli.session import Session
from release.cli.settings import common
from release.errors import UsageError

if TYPE_CHECKING:
    from release.rollout.hands import Hands


@click.command()
@click.argument("which", metavar="[DEPLOYMENT|RELEASE]", required=False)
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), help="Default: markdown.")
@click.option("--models", is_flag=True, help="The model switches alone, all that are recorded.")
@click.option("--output", "-o", metavar="FILE", help="Write it there instead of printing it.")
@common
@click.pass_context
def report(context: click.Context, which: str | None, form: str | None, models: bool, output: str | None) -> int:
    """Write the record of a deployment as Markdown or JSON.

    Each stage with its outcome and evidence, who asked, quality with intervals, latency percentiles, worst cases, the
    timeline, and the end of a failed candidate's log. Model switches from its beginning to the next run are counted
    by outcome, with the time from promotion to rollback. Without arguments, of the last run.
    """
    if models and which is not None:
        raise click.UsageError("either --models or a deployment, not both", context)
    with Session.of(context) as session:
        _, hands = session.for_scope()
        import json

        document, rendered = _of_models(hands) if models else _of_deployment(hands, which)
        as_markdown = (form or ("json" if session.settings.json and output is None else "markdown")) == "markdown"
        text = rendered if as_markdown else json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n"
        if output is None:
            return session.show({"ok": True, **document}, lambda: [text.rstrip("\n")])
        path = session.settings.path(output) or Path(output)
        _write(path, text)
        told = {"ok": True, "file": str(path), **({} if models else {"deployment": document["deployment"]["id"]})}
        return session.show(told, lambda: [f"wrote {path}"])


def _of_deployment(hands: Hands, which: str | None) -> tuple[dict[str, Any], str]:
    from release.operations.look import deployment_named
    from release.report.document import as_json
    from release.report.markdown import markdown
    from release.report.record import gather

    record = gather(hands.ledger, deployment_named(hands, which).id)
    return as_json(record), markdown(record)


def _of_models(hands: Hands) -> tuple[dict[str, Any], str]:
    from release.report.document import VERSION, models_as_json
    from release.report.models import told
    from release.report.models_markdown import models_markdown

    found = told(hands.ledger.model_switches())
    return {"version": VERSION, "model_switches": models_as_json(found)}, models_markdown(found, hands.scope)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder you may write"
        ) from error
