"""`release report`."""

from __future__ import annotations

from pathlib import Path

import click

from release.cli.session import Session
from release.cli.settings import common
from release.errors import UsageError


@click.command()
@click.argument("which", metavar="[DEPLOYMENT|RELEASE]", required=False)
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), help="Default: markdown.")
@click.option("--output", "-o", metavar="FILE", help="Write it there instead of printing it.")
@common
@click.pass_context
def report(context: click.Context, which: str | None, form: str | None, output: str | None) -> int:
    """Write the record of a deployment as Markdown or JSON.

    Each stage with its outcome and evidence, who asked, quality with intervals, latency percentiles, worst cases, the
    timeline, and the end of a failed candidate's log. Without arguments, of the last run.
    """
    with Session.of(context) as session:
        _, hands = session.for_scope()
        import json

        from release.operations.look import deployment_named
        from release.report.document import as_json
        from release.report.markdown import markdown
        from release.report.record import gather

        record = gather(hands.ledger, deployment_named(hands, which).id)
        document = as_json(record)
        as_markdown = (form or ("json" if session.settings.json and output is None else "markdown")) == "markdown"
        text = (
            markdown(record) if as_markdown else json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n"
        )
        if output is None:
            return session.show({"ok": True, **document}, lambda: [text.rstrip("\n")])
        path = session.settings.path(output) or Path(output)
        _write(path, text)
        told = {"ok": True, "file": str(path), "deployment": record.deployment.id}
        return session.show(told, lambda: [f"wrote {path}"])


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder you may write"
        ) from error
