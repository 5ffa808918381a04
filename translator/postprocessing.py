"""What happens to a translated line last: the steps that a version's postprocessing.json names, in its order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from translator.errors import StartError
from translator.text import STEPS, clean

FILE = "postprocessing.json"
BUNDLED = Path(__file__).with_name(FILE)


class Postprocessing:
    """Cleans lines; a pure function of its steps."""

    def __init__(self, steps: Sequence[str] = tuple(STEPS)) -> None:
        self.steps = tuple(steps)
        self._functions = tuple(STEPS[name] for name in steps)

    @classmethod
    def load(cls, file: Path = BUNDLED) -> Postprocessing:
        """Read `{"steps": [name, …]}`. Raises `StartError` that lists the steps there are."""
        try:
            steps = json.loads(file.read_text(encoding="utf-8"))["steps"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StartError(f'{file} is no {{"steps": [name, …]}}: {type(error).__name__}: {error}') from error
        wrong = [str(name) for name in steps if name not in STEPS] if isinstance(steps, list) else [str(steps)]
        if wrong:
            raise StartError(f"{file} names {', '.join(wrong)}; the steps here are: {', '.join(STEPS)}")
        return cls(steps)

    def __call__(self, line: str) -> str:
        """The line, cleaned."""
        return clean(line, self._functions)
