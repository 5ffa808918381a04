"""What computes a translation, raw: torch against CTranslate2 on the bundled model, in quality, speed and memory."""

from __future__ import annotations

import sys

from benchmarks.result import arguments, publish


def main() -> int:
    options = arguments("torch against CTranslate2 in 32-bit floats and 8-bit integers.", rounds=12, cases=1335)
    from translator.engines import EVALUATION, MARGIN, measure, verdict
    from translator.score import read_cases
    from translator.settings import MODELS, served_model

    model = served_model(MODELS)
    cases = read_cases(EVALUATION, options.cases)
    found = measure(model, cases, [], options.rounds)
    notes = [
        f"{len(cases)} cases, one thread, sentences a second of processor time; scores beside torch's, 95 % between.",
        verdict({model.name: found}, MARGIN),
    ]
    publish("Engines of the bundled translator", [one.row(model.name) for one in found], notes, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
