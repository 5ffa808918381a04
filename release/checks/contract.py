"""Contract: the candidate's OpenAPI description breaks no caller of the live release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release.checks import openapi
from release.checks.base import Subject
from release.checks.changes import Change, Severity
from release.checks.http import Client, Reply
from release.checks.lanes import Lanes
from release.verdict import Verdict, failed, no_data, passed, skipped

if TYPE_CHECKING:
    from release.config.checks import Contract

_TIMEOUT = 30.0  # seconds; some frameworks write the document at the first request
_SHOWN = 3  # changes named in the reason; all are in the evidence


class ContractCheck:
    """A candidate without a description always fails: the manifest promised one. So a wrong path never goes unseen."""

    name = "contract"

    def __init__(self, section: Contract) -> None:
        self._section = section

    def run(self, subject: Subject) -> Verdict:
        path = self._section.openapi
        reply = self._get(subject, subject.candidate.url)
        try:
            candidate = _document(reply)
            count = openapi.operations(candidate)
        except ValueError as error:
            return failed(self.name, f"the candidate has no OpenAPI description at {path}: {error}", path=path)
        if subject.live is None:
            reason = f"the first deployment has nothing to compare with; {count} operations are described"
            return skipped(self.name, reason, path=path, operations=count)
        reply = self._get(subject, subject.live.url)
        if reply.status in (404, 405, 410):
            reason = f"live ({subject.live.release}) has no OpenAPI description at {path} ({reply.status})"
            return skipped(self.name, f"{reason}, so there is nothing to compare with", path=path, operations=count)
        try:
            changes = openapi.compare(_document(reply), candidate)
        except ValueError as error:
            return no_data(self.name, f"the descriptions of live and candidate cannot be compared: {error}", path=path)
        return self._judge(changes, count)

    def _get(self, subject: Subject, url: str) -> Reply:
        with Lanes(1, lambda: Client(url), subject.alive) as lanes:
            return lanes.one(lambda client, path: client.get(path, _TIMEOUT), self._section.openapi)

    def _judge(self, changes: list[Change], count: int) -> Verdict:
        breaks = [change for change in changes if change.severity is Severity.BREAKING]
        meant = [change for change in breaks if str(change) in self._section.allow]
        unmeant = [change for change in breaks if change not in meant]
        stale = [text for text in self._section.allow if text not in map(str, meant)]
        rows = [[_word(change, meant), change.place, change.text] for change in changes]
        evidence: dict[str, Any] = {
            "path": self._section.openapi,
            "operations": count,
            "breaking": [str(change) for change in unmeant],
            "allowed": [str(change) for change in meant],
            "unused_allow": stale,
            "warnings": [str(change) for change in changes if change.severity is Severity.WARNING],
            "other": [str(change) for change in changes if change.severity is Severity.INFO],
        }
        if rows:
            columns = ["severity", "place", "change"]
            evidence["tables"] = [{"title": "Changes of the API", "columns": columns, "rows": rows}]
        if unmeant:
            more = f" and {len(unmeant) - _SHOWN} more" if len(unmeant) > _SHOWN else ""
            named = "; ".join(str(change) for change in unmeant[:_SHOWN])
            noun = "change breaks" if len(unmeant) == 1 else "changes break"
            evidence["hint"] = "list a change that is meant under checks.contract.allow, exactly as printed"
            return failed(self.name, f"{len(unmeant)} {noun} callers of live: {named}{more}", **evidence)
        allowed = f", {len(meant)} breaking but allowed" if meant else ""
        words = f"{len(changes)} changes, none breaking" if not meant else f"{len(changes)} changes{allowed}"
        return passed(
            self.name, f"{words}; {count} operations" if changes else f"no change; {count} operations", **evidence
        )


def _word(change: Change, meant: list[Change]) -> str:
    return "allowed" if change in meant else str(change.severity)


def _document(reply: Reply) -> Mapping[str, Any]:
    """The description in a reply, JSON or YAML. Raises ValueError that says why there is none."""
    import yaml

    if not reply.ok:
        raise ValueError(reply.excerpt(120))
    try:
        document = reply.json()
    except (ValueError, RecursionError):
        try:
            document = yaml.safe_load(reply.body)
        except (yaml.YAMLError, RecursionError):
            raise ValueError("the answer is neither JSON nor YAML") from None
    openapi.check(document)
    found: Mapping[str, Any] = document
    return found
