"""Tables as text: every cell whole, every line within the width, Chinese as wide as it is."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.cli.console import tables
from release.verdict import failed, passed

CELLS = st.text(st.sampled_from("ab cd,.今天気，。éñ"), max_size=60)


def test_figures_stand_right_and_words_left() -> None:
    assert tables.text(["metric", "live"], [["BLEU", "24.61"], ["chrF", "9.5"]]) == [
        "metric   live",
        "──────  ─────",
        "BLEU    24.61",
        "chrF      9.5",
    ]


def test_chinese_takes_two_columns() -> None:
    lines = tables.text(["source", "n"], [["今天", "1"], ["abcd", "2"]])
    assert lines[2:] == ["今天    1", "abcd    2"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6), st.integers(60, 140))
def test_lines_fit_and_no_character_is_lost(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = tables.text(["one", "two", "three"], rows, width)
    assert all(tables.columns_of(line) <= width for line in lines)
    shown = sorted("".join("".join(lines[2:]).split()))
    assert shown == sorted("".join("".join("".join(row) for row in rows).split()))


def test_a_red_verdict_shows_all_tables_and_a_green_one_its_figures() -> None:
    long = {"title": "all", "columns": ["a"], "rows": [["x"]] * 50}
    short = {"title": "few", "columns": ["a"], "rows": [["x"]]}
    broken = {"title": "none", "columns": [], "rows": []}
    assert [t["title"] for t in tables.of(failed("c", "r", tables=[long, short, broken]))] == ["all", "few"]
    assert [t["title"] for t in tables.of(passed("c", "r", tables=[long, short]))] == ["few"]
    assert [t["title"] for t in tables.of(passed("c", "r", tables=[long, short]), everything=True)] == ["all", "few"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CELLS, st.integers(1, 80))
def test_what_is_cut_fits_and_says_so(text: str, width: int) -> None:
    shown = tables.cut(text, width)
    assert tables.columns_of(shown) <= width
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))
