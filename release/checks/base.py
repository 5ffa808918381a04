"""The protocol of a check, and what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from release.verdict import Verdict

# What an integration suite finds in its environment; the pytest plugin reads it.
URL = "RELEASE_CANDIDATE_URL"
RELEASE = "RELEASE_RELEASE"
RETRIES = "RELEASE_CONNECT_RETRIES"


@dataclass(frozen=True)
class Target:
    """A running release: where it answers, and what it is. Digests key the answers that may be kept.

    `weights` is a digest of whatever shapes its answers beside the image (configuration, mounted weights); "" where
    there is nothing of the kind. `headers` go with every case of the benchmark set: they name a version, where one
    service answers with several; an answer counts only where its headers name what `proof` says, all
    of a list with commas.
    """

    url: str  # http://127.0.0.1:8101, no trailing slash
    release: str
    image_id: str = ""
    weights: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    proof: Mapping[str, str] = field(default_factory=dict, hash=False)

    def stranger(self, headers: Mapping[str, str]) -> str:
        """Why an answer with these headers (names in lower case) is not this target's; "" where it is."""
        for name, wanted in self.proof.items():
            told = headers.get(name.lower(), "")
            if not _parts(wanted) <= _parts(told):
                return f"not answered by {wanted}: {name} is {told}" if told else f"the answer has no {name}"
        return ""


def _parts(listed: str) -> set[str]:
    return {part.strip() for part in listed.split(",")}


@dataclass(frozen=True)
class Subject:
    """What a check is asked about. `live` is None at the first deployment ever; `anchor` where one is pinned and runs.

    `tree` is the export of the candidate's commit (cases, suite). `answers` is a folder for answers that may be kept
    between runs, `work` a scratch folder that is removed afterwards. `progress` takes one short line for a person and
    may be called often; `alive` raises an error that says why once the candidate has died or the run was interrupted,
    and every check calls it between its requests.
    """

    candidate: Target
    live: Target | None
    tree: Path
    work: Path
    anchor: Target | None = None
    answers: Path | None = None
    progress: Callable[[str], None] = field(default=lambda _: None)
    alive: Callable[[], None] = field(default=lambda: None)
    env: dict[str, str] = field(default_factory=dict)


class Check(Protocol):
    """`run` returns a verdict; it raises only what `Subject.alive` raises. A check that could not run is no data."""

    name: str

    def run(self, subject: Subject) -> Verdict: ...
