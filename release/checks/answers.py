"""A service's answers to the benchmark set: fetched with bounded concurrency, and kept for the next comparison."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release.checks.base import Subject, Target
from release.checks.cases import CaseSet
from release.checks.http import Client, Reply
from release.checks.lanes import Lanes
from release.errors import UsageError

if TYPE_CHECKING:
    from release.config.checks import Quality

GIVE_UP_AFTER = 20  # requests in a row without an answer; four times the concurrency where that is more
_KEPT_SETS = 20


@dataclass(frozen=True)
class Answers:
    """One text per case, None where the service gave none; `troubles` says why, by index.

    `gave_up`: so many in a row failed that the rest was not asked (and counts as unanswered).
    """

    texts: tuple[str | None, ...]
    troubles: dict[int, str] = field(default_factory=dict)
    gave_up: bool = False
    kept: bool = False  # taken from an earlier run

    @property
    def missing(self) -> list[int]:
        return [index for index, text in enumerate(self.texts) if text is None]

    def why(self) -> str:
        """The most frequent trouble, for a person."""
        reasons = list(self.troubles.values())
        return max(set(reasons), key=lambda reason: (reasons.count(reason), reason)) if reasons else "not asked"


class Extractor:
    """Finds the answer in a response. Raises UsageError where the expression is no JMESPath."""

    def __init__(self, expression: str) -> None:
        import jmespath
        from jmespath.exceptions import JMESPathError

        try:
            self._compiled: Any = jmespath.compile(expression)
        except JMESPathError as error:
            raise UsageError(
                f"checks.quality.answer {expression!r} is no JMESPath expression", hint=str(error).splitlines()[0]
            ) from None
        self._expression, self._foreign = expression, JMESPathError

    def text(self, reply: Reply) -> tuple[str | None, str]:
        """(answer, "") or (None, why there is none)."""
        if not reply.ok:
            return None, reply.excerpt(120)
        try:
            found = self._compiled.search(reply.json())
        except (ValueError, RecursionError):
            return None, f"the answer is not JSON: {reply.excerpt(80)}"
        except self._foreign as error:
            return None, f"{self._expression!r} cannot be applied: {str(error).splitlines()[0]}"
        if not isinstance(found, str):
            return None, f"{self._expression!r} finds {_kind(found)}, not a text, in {reply.excerpt(80)}"
        return found, ""


def _kind(value: object) -> str:
    names = {type(None): "nothing", list: "a list", dict: "an object", bool: "a truth value"}
    return names.get(type(value), "a number")


def fetch(
    target: Target, section: Quality, cases: CaseSet, subject: Subject, label: str, *, reuse: bool = False
) -> Answers:
    """The answers of `target`, kept for the next run: today's candidate is what tomorrow's is compared with.

    `reuse`: taken from what an earlier run kept, where possible. Never for a candidate: what is judged has to be what
    runs now. `label` goes before the count in progress lines. Raises UsageError for a bad expression.
    """
    extractor = Extractor(section.answer)
    place = _place(target, section, cases, subject.answers)
    if reuse and place is not None and (kept := _load(place, len(cases.cases))) is not None:
        subject.progress(f"{label}: {len(kept)} answers kept from before")
        return Answers(kept, kept=True)
    answers = _ask(target, section, [case.source for case in cases.cases], subject, label, extractor)
    if place is not None and not answers.missing:
        _save(place, target, answers)
    return answers


def _ask(
    target: Target, section: Quality, sources: Sequence[str], subject: Subject, label: str, extractor: Extractor
) -> Answers:
    texts: list[str | None] = [None] * len(sources)
    troubles: dict[int, str] = {}
    in_a_row, patience = 0, max(GIVE_UP_AFTER, 4 * section.concurrency)
    with Lanes(section.concurrency, lambda: Client(target.url, target.headers), subject.alive) as lanes:

        def answer(client: Client, source: str) -> tuple[str | None, str]:
            reply = client.send(section.request, source)
            text, trouble = extractor.text(reply)
            strange = "" if text is None else target.stranger(reply.headers)
            return (None, strange) if strange else (text, trouble)

        replies = lanes.map(answer, sources)
        for count, (index, (text, trouble)) in enumerate(replies, 1):
            texts[index] = text
            in_a_row = 0 if text is not None else in_a_row + 1
            if text is None:
                troubles[index] = trouble
            if count % 20 == 0 or count == len(sources):
                subject.progress(f"{label} {count}/{len(sources)}")
            if in_a_row >= patience and count < len(sources):
                replies.close()
                return Answers(tuple(texts), troubles, gave_up=True)
    return Answers(tuple(texts), troubles)


def _place(target: Target, section: Quality, cases: CaseSet, folder: Path | None) -> Path | None:
    """The file of exactly these answers; None where nothing can tell whether they would still be the same."""
    if folder is None or not target.image_id:
        return None
    request = section.request.model_dump(mode="json", exclude={"timeout"})
    key = json.dumps([target.image_id, target.weights, cases.digest, request, section.answer], sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def _load(place: Path, number: int) -> tuple[str, ...] | None:
    try:
        texts = json.loads(place.read_bytes())["answers"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(texts, list) or len(texts) != number or not all(isinstance(text, str) for text in texts):
        return None
    return tuple(texts)


def _save(place: Path, target: Target, answers: Answers) -> None:
    """Keeps the answers, and drops the oldest sets beyond _KEPT_SETS. A full disk costs only time, next time."""
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"release": target.release, "answers": answers.texts}), encoding="ascii")
        temporary.replace(place)
        sets = sorted(place.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in sets[_KEPT_SETS:]:
            old.unlink(missing_ok=True)
    except OSError:
        temporary.unlink(missing_ok=True)
