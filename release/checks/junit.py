"""JUnit XML as pytest writes it: totals, and what failed with its message."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_LONGEST = 2000  # characters of a failure's text


@dataclass(frozen=True)
class Totals:
    """`failures` holds (test, message and traceback's end) for failures and errors alike; `passed` counts the rest."""

    tests: int
    passed: int
    skipped: int
    failures: tuple[tuple[str, str], ...]


def read(report: Path) -> Totals | None:
    """None where there is no such report or it is not whole: pytest was killed, or never came so far."""
    try:
        root = ElementTree.parse(report).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    tests = passed = skipped = 0
    failures: list[tuple[str, str]] = []
    for case in root.iter("testcase"):
        tests += 1
        trouble = [part for part in case if part.tag in ("failure", "error")]
        failures += [(_name(case), _message(part)) for part in trouble[:1]]
        left_out = case.find("skipped") is not None
        skipped += left_out and not trouble
        passed += not left_out and not trouble
    return Totals(tests, passed, skipped, tuple(failures))


def _name(case: ElementTree.Element) -> str:
    parts = [case.get("classname", "").replace(".", "/"), case.get("name", "")]
    return "::".join(part for part in parts if part)


def _message(part: ElementTree.Element) -> str:
    """pytest's one-line message, then the end of the traceback, where the reason stands."""
    first = " ".join(part.get("message", part.tag).split())
    text = (part.text or "").strip()
    return f"{first[:300]}\n{text[-_LONGEST:]}" if text else first[:_LONGEST]
