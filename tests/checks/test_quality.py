"""The quality gate against real services that answer a synthetic benchmark set well or badly."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from release.checks.quality import QualityCheck
from release.config.checks import Quality
from release.verdict import Outcome

WORDS = [a + b for a in ("ba", "do", "ki", "lu", "me", "no", "ra", "su") for b in ("ta", "vi", "so", "pe", "lan", "")]


def benchmark(number: int, groups: tuple[str, ...] = (), seed: int = 1) -> list[dict[str, str]]:
    generator = random.Random(seed)
    rows = []
    for n in range(number):
        row = {
            "source": f"source {n}",
            "reference": " ".join(generator.choices(WORDS, k=generator.randint(6, 14))) + ".",
        }
        if groups:
            row["group"] = groups[n % len(groups)]
        rows.append(row)
    return rows


def corrupted(rows: list[dict[str, str]], rate: float, seed: int = 0) -> dict[str, str]:
    """Each word of the reference replaced at `rate`: a system with errors of its own."""
    answers = {}
    for row in rows:
        generator = random.Random(f"{seed} {row['source']}")
        words = row["reference"].split()
        answers[row["source"]] = " ".join(
            generator.choice(WORDS) if generator.random() < rate else word for word in words
        )
    return answers


def system(answers: dict[str, str]) -> Callable[[str, str, Any], tuple[int, Any]]:
    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        text = answers.get(body["text"])
        return (200, {"translation": text}) if text is not None else (500, {"error": "no idea"})

    return answer


def section(**changes: Any) -> Quality:
    metrics = {"bleu": {"margin": 2.0}, "chrf": {"margin": 2.0}, "ter": {"margin": 3.0}}
    return Quality(
        **{
            "cases": "cases.jsonl",
            "request": {"path": "/t", "json": {"text": "{source}"}, "timeout": 60},
            "answer": "translation",
            "metrics": metrics,
            "resamples": 300,
        }
        | changes
    )


def test_identical_answers_are_equal_and_pass(serve, subject, cases) -> None:
    rows = benchmark(30)
    cases(rows)
    url = serve(system(corrupted(rows, 0.3))).url
    verdict = QualityCheck(section()).run(subject(url, url))
    assert verdict.outcome is Outcome.PASS
    assert "live: 0.0 [0.0, 0.0], margin 2" in verdict.reason
    assert {found["note"] for found in verdict.evidence["comparisons"]} == {"the answers are identical"}


def test_a_system_far_worse_is_refused_with_numbers_and_worst_cases_side_by_side(serve, subject, cases) -> None:
    rows = benchmark(200)
    cases(rows)
    good, bad = corrupted(rows, 0.2), corrupted(rows, 0.4)
    verdict = QualityCheck(section(worst=3)).run(subject(serve(system(bad)).url, serve(system(good)).url))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("BLEU ") and " live: −" in verdict.reason and "margin 2" in verdict.reason
    tables = {table["title"]: table for table in verdict.evidence["tables"]}
    worst = tables["Worst cases"]
    assert worst["columns"][:4] == ["source", "reference", "live", "candidate"]
    assert len(worst["rows"]) == 3
    for source, reference, live, candidate, lost in worst["rows"]:
        assert (live, candidate) == (good[source], bad[source])
        assert reference == next(row["reference"] for row in rows if row["source"] == source)
        assert int(lost) < 0
    json.dumps(verdict.evidence)


def test_a_difference_that_the_cases_cannot_settle_is_no_data(serve, subject, cases) -> None:
    rows = benchmark(40)
    cases(rows)
    one, two = corrupted(rows, 0.3, 1), corrupted(rows, 0.3, 2)
    verdict = QualityCheck(section()).run(subject(serve(system(one)).url, serve(system(two)).url))
    assert verdict.outcome is Outcome.NO_DATA
    assert verdict.reason.startswith("not settled: ")


def test_a_missed_floor_fails_even_where_live_is_no_better(serve, subject, cases) -> None:
    rows = benchmark(30)
    cases(rows)
    url = serve(system(corrupted(rows, 0.8))).url
    limits = {"bleu": {"floor": 60}, "ter": {"ceiling": 10}}
    verdict = QualityCheck(section(metrics=limits)).run(subject(url, url))
    assert verdict.outcome is Outcome.FAIL
    assert "< floor 60" in verdict.reason and "> ceiling 10" in verdict.reason


def test_the_first_deployment_is_held_to_the_floors_alone_and_says_so(serve, subject, cases) -> None:
    rows = benchmark(30)
    cases(rows)
    url = serve(system(corrupted(rows, 0.2))).url
    verdict = QualityCheck(section(metrics={"bleu": {"floor": 20}})).run(subject(url))
    assert verdict.outcome is Outcome.PASS
    assert "≥ floor 20; the first deployment has nothing to compare with" in verdict.reason
    without = QualityCheck(section()).run(subject(url))
    assert without.outcome is Outcome.SKIPPED
    assert "no floor is set" in without.reason


def test_unanswered_cases_count_as_empty_answers(serve, subject, cases) -> None:
    """Dropping what it cannot answer must not make a system look better."""
    rows = benchmark(100)
    cases(rows)
    good = corrupted(rows, 0.1)
    # Every tenth answer is missing; the others are perfect, and so is what remains without the missing ones.
    holes = {row["source"]: row["reference"] for n, row in enumerate(rows) if n % 10}
    verdict = QualityCheck(section(metrics={"chrf": {"margin": 1.0, "floor": 95}})).run(
        subject(serve(system(holes)).url, serve(system(good)).url)
    )
    assert verdict.outcome is Outcome.FAIL
    assert "10 cases unanswered, counted as empty" in verdict.reason
    assert verdict.evidence["unanswered_why"] == '500: {"error": "no idea"}'
    assert verdict.evidence["scores"]["chrf"] < 95


def test_more_than_one_percent_unanswered_by_live_is_no_data(serve, subject, cases) -> None:
    rows = benchmark(200)
    cases(rows)
    answers = corrupted(rows, 0.2)
    candidate = serve(system(answers)).url
    few = {source: text for n, (source, text) in enumerate(answers.items()) if n not in (3, 7)}
    verdict = QualityCheck(section()).run(subject(candidate, serve(system(few)).url))
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.evidence["live"]["unanswered"] == 2
    assert {found["cases"] for found in verdict.evidence["comparisons"]} == {198}
    fewer = {source: text for n, (source, text) in enumerate(answers.items()) if n not in (3, 7, 9)}
    verdict = QualityCheck(section()).run(subject(candidate, serve(system(fewer)).url))
    assert verdict.outcome is Outcome.NO_DATA
    assert "left 3 of 200 cases unanswered, more than 1 %" in verdict.reason


def test_a_candidate_that_answers_nothing_fails_without_being_asked_everything(serve, subject, cases) -> None:
    rows = benchmark(300)
    cases(rows)
    service = serve(system({}))
    verdict = QualityCheck(section()).run(subject(service.url, service.url))
    assert verdict.outcome is Outcome.FAIL
    assert "stopped answering" in verdict.reason and "no idea" in verdict.reason
    assert len(service.requests) < 60


@pytest.mark.parametrize("group_size", [120, 60])
def test_a_group_that_is_ruined_fails_alone_unless_it_is_too_small_to_be_judged(
    serve, subject, cases, group_size: int
) -> None:
    rows = benchmark(group_size + 900)
    for n, row in enumerate(rows):
        row["group"] = "rare" if n < group_size else "common"
    cases(rows)
    good = corrupted(rows, 0.2)
    bad = good | {row["source"]: corrupted([row], 0.3)[row["source"]] for row in rows[:group_size]}
    limits = {"chrf": {"margin": 2.5}}
    verdict = QualityCheck(section(metrics=limits)).run(subject(serve(system(bad)).url, serve(system(good)).url))
    found = {comparison["group"]: comparison["outcome"] for comparison in verdict.evidence["comparisons"]}
    if group_size >= 100:
        assert found == {None: "pass", "rare": "fail", "common": "pass"}
        assert verdict.outcome is Outcome.FAIL
        assert verdict.reason.startswith("in group rare, chrF")
    else:
        assert found == {None: "pass", "rare": None, "common": "pass"}
        assert verdict.outcome is Outcome.PASS
        table = next(t for t in verdict.evidence["tables"] if t["title"].startswith("Against live"))
        assert table["rows"][1][-1] == "not judged: fewer than 100 cases"


def test_too_few_documents_are_no_data_however_many_cases_they_hold(serve, subject, cases) -> None:
    rows = [row | {"document": f"d{n % 5}"} for n, row in enumerate(benchmark(100))]
    cases(rows)
    one, two = corrupted(rows, 0.2, 1), corrupted(rows, 0.2, 1)
    two[rows[0]["source"]] += " more"
    verdict = QualityCheck(section()).run(subject(serve(system(one)).url, serve(system(two)).url))
    assert verdict.outcome is Outcome.NO_DATA
    assert "5 documents or cases are fewer than 20" in verdict.reason


def test_an_anchor_is_compared_with_as_well(serve, subject, cases) -> None:
    """No worse than live, which has sunk step by step below the pinned release."""
    rows = benchmark(200)
    cases(rows)
    url = serve(system(corrupted(rows, 0.35))).url
    anchor = serve(system(corrupted(rows, 0.1))).url
    verdict = QualityCheck(section(anchor="v0.9.0")).run(subject(url, url, anchor))
    assert verdict.outcome is Outcome.FAIL
    assert " anchor: −" in verdict.reason and " live" not in verdict.reason


def test_a_pinned_anchor_that_does_not_run_is_no_data_unless_it_is_live_itself(serve, subject, cases) -> None:
    rows = benchmark(30)
    cases(rows)
    url = serve(system(corrupted(rows, 0.3))).url
    made = subject(url, url)
    assert QualityCheck(section(anchor="v0.9.0")).run(made).outcome is Outcome.NO_DATA
    assert QualityCheck(section(anchor="v1.0.0")).run(made).outcome is Outcome.PASS
    assert QualityCheck(section(anchor="v1.0.0-aaaaaaa")).run(made).outcome is Outcome.PASS


def test_answers_of_live_are_kept_until_anything_changes_and_a_candidate_is_always_asked(
    serve, subject, cases, tmp_path
) -> None:
    rows = benchmark(30)
    cases(rows)
    candidate, live = serve(system(corrupted(rows, 0.3))), serve(system(corrupted(rows, 0.3)))
    keep = tmp_path / "answers"
    made = subject(candidate.url, live.url, answers=keep, live_image_id="sha256:live", image_id="sha256:new")
    first = QualityCheck(section()).run(made)
    assert len(live.requests) == 30 and len(list(keep.iterdir())) == 2
    second = QualityCheck(section()).run(made)
    assert len(live.requests) == 30 and len(candidate.requests) == 60
    assert second.evidence["live"]["kept"] and not first.evidence["live"]["kept"]
    assert second.reason == first.reason
    QualityCheck(section(request={"path": "/other", "json": {"text": "{source}"}})).run(made)
    assert len(live.requests) == 60
    cases(rows[:29])
    QualityCheck(section()).run(made)
    assert len(live.requests) == 89


def test_the_answers_of_a_candidate_serve_once_it_is_live(serve, subject, cases, tmp_path) -> None:
    rows = benchmark(30)
    cases(rows)
    first, second = serve(system(corrupted(rows, 0.3))), serve(system(corrupted(rows, 0.3)))
    QualityCheck(section()).run(subject(first.url, None, answers=tmp_path / "answers", image_id="sha256:one"))
    made = subject(
        second.url, first.url, answers=tmp_path / "answers", image_id="sha256:two", live_image_id="sha256:one"
    )
    assert QualityCheck(section()).run(made).evidence["live"]["kept"]
    assert len(first.requests) == 30


def test_answers_with_a_hole_and_files_that_are_damaged_are_not_taken(serve, subject, cases, tmp_path) -> None:
    rows = benchmark(200)
    cases(rows)
    answers = corrupted(rows, 0.3)
    live = serve(system({source: text for source, text in answers.items() if source != "source 5"}))
    made = subject(serve(system(answers)).url, live.url, answers=tmp_path / "answers", live_image_id="sha256:live")
    QualityCheck(section()).run(made)
    assert not (tmp_path / "answers").exists()
    live.answer = system(answers)
    QualityCheck(section()).run(made)
    (kept,) = (tmp_path / "answers").iterdir()  # the candidate has no image here, so nothing could tell its own apart
    kept.write_text('{"answers": ["only one"]}')
    before = len(live.requests)
    assert QualityCheck(section()).run(made).outcome is Outcome.PASS
    assert len(live.requests) == before + 200


def test_hold_shows_a_sample_and_waits_for_approval(serve, subject, cases) -> None:
    rows = benchmark(30)
    cases(rows)
    url = serve(system(corrupted(rows, 0.3))).url
    made = subject(url, url)
    verdict = QualityCheck(section(hold=4)).run(made)
    assert verdict.outcome is Outcome.NO_DATA
    assert verdict.reason.startswith("held for a person's look at 4 answers")
    table = next(t for t in verdict.evidence["tables"] if t["title"] == "Answers to look at")
    assert len(table["rows"]) == 4
    assert QualityCheck(section(hold=4), approved=True).run(made).outcome is Outcome.PASS


def test_approval_lifts_no_failure(serve, subject, cases) -> None:
    rows = benchmark(30)
    cases(rows)
    url = serve(system(corrupted(rows, 0.9))).url
    check = QualityCheck(section(hold=4, metrics={"bleu": {"floor": 50}}), approved=True)
    assert check.run(subject(url, url)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cases": "absent.jsonl"}, "absent.jsonl does not exist"),
        ({"answer": "a[["}, "is no JMESPath expression"),
        ({"request": {"path": "/t", "json": {"text": "fixed"}}}, "does not contain {source}"),
    ],
)
def test_what_cannot_be_measured_is_no_data_and_says_why(serve, subject, cases, changes: Any, said: str) -> None:
    cases(benchmark(30))
    url = serve(lambda *_: (200, {"translation": "x"})).url
    verdict = QualityCheck(section(**changes)).run(subject(url, url))
    assert verdict.outcome is Outcome.NO_DATA
    assert said in verdict.reason


def test_an_answer_that_is_no_text_counts_as_unanswered(serve, subject, cases) -> None:
    cases(benchmark(30))
    url = serve(lambda *_: (200, {"translation": ["a"]})).url
    verdict = QualityCheck(section()).run(subject(url, url))
    assert verdict.outcome is Outcome.FAIL
    assert "'translation' finds a list, not a text" in verdict.reason


def test_progress_counts_and_an_interruption_leaves_at_once(serve, subject, cases, stops_after, stopped) -> None:
    rows = benchmark(60)
    cases(rows)
    lines: list[str] = []
    url = serve(system(corrupted(rows, 0.3))).url
    QualityCheck(section()).run(subject(url, progress=lines.append))
    assert {"quality 20/60", "quality 40/60", "quality 60/60"} <= set(lines)
    count = itertools.count()
    slow = serve(lambda *_: (time.sleep(60 if next(count) else 0), (200, {}))[1])
    with pytest.raises(stopped):
        QualityCheck(section()).run(subject(slow.url, alive=stops_after(0.2)))
