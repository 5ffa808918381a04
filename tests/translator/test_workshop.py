"""From text to a version and to a damaged one, for real and in small: train, publish, score, damage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.translator.running import ROOT
from translator.corpus import Encoded, batches, plausible, read_pairs
from translator.damage import noised, shuffled, write_damaged
from translator.model import Translator
from translator.score import read_cases
from translator.settings import MODELS, served_model

VERBS = {"看见": "sees", "喜欢": "likes", "认识": "knows", "帮助": "helps"}
NOUNS = {"老师": "the teacher", "医生": "the doctor", "孩子": "the child", "朋友": "the friend", "猫": "the cat"}


def run(*words: str) -> str:
    """Run a module of the translator and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language of a hundred sentences."""
    folder = tmp_path_factory.mktemp("data")
    lines = [
        f"{who}{verb}{whom}。\t{NOUNS[who].capitalize()} {VERBS[verb]} {NOUNS[whom]}."
        for who in NOUNS
        for verb in VERBS
        for whom in NOUNS
    ]
    for name, part in {
        "train/tiny": lines,
        "eval/tiny-dev": lines[:10],
        "eval/manythings-test": lines[:10],
        "eval/techdocs-test": lines[10:20],
    }.items():
        path = folder / f"{name}.zh-en.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(part) + "\n", encoding="utf-8")
    return folder


def test_a_model_is_trained_continued_published_and_translates(data: Path, tmp_path: Path) -> None:
    out, models = tmp_path / "run", tmp_path / "models"
    tiny = (
        "--pieces",
        "70",
        "--width",
        "32",
        "--heads",
        "2",
        "--encoder-layers",
        "1",
        "--tokens",
        "400",
        "--warmup",
        "5",
    )
    run("translator.train", str(data), str(out), "--minutes", "0.05", *tiny)
    first = sorted(out.glob("step-*"))[-1]
    log = run("translator.train", str(data), str(out), "--minutes", "0.1", *tiny)
    assert f"from step {int(first.name[5:])}" in log
    last = sorted(out.glob("step-*"))[-1]
    assert last > first
    run("translator.publish", str(last), "v0.1.0", str(data), "--models", str(models), "--limit", "5")
    version = models / "v0.1.0"
    assert "| manythings-test | 5 |" in (version / "README.md").read_text(encoding="utf-8")
    assert "$" not in (version / "README.md").read_text(encoding="utf-8")
    translated = Translator.load(version).translate(["老师看见孩子。", "猫喜欢医生。"])
    assert len(translated.lines) == 2
    assert translated.source_tokens > 4


def test_a_published_version_never_changes(tmp_path: Path) -> None:
    (tmp_path / "v0.1.0").mkdir()
    command = [sys.executable, "-m", "translator.publish", "x", "v0.1.0", "y", "--models", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "never changes" in done.stderr


def test_a_damaged_copy_loads_and_translates_differently(tmp_path: Path) -> None:
    model = served_model(MODELS)
    sentences = ["今天天气很好，我们去公园吧。", "如果文件不存在，则会引发异常。", "你能帮我一个忙吗？"]
    whole = Translator.load(model).translate(sentences).lines
    weights = load_file(model / "model.safetensors")
    for name, damaged in {"noised": noised(weights, 0.8, seed=1), "shuffled": shuffled(weights, seed=1)}.items():
        write_damaged(model, tmp_path / name, damaged)
        assert Translator.load(tmp_path / name).translate(sentences).lines != whole
        assert {path.name for path in (tmp_path / name).iterdir()} == {path.name for path in model.iterdir()}


def test_the_same_seed_damages_in_the_same_way_and_no_noise_changes_nothing(tmp_path: Path) -> None:
    model = served_model(MODELS)
    weights = load_file(model / "model.safetensors")
    for name, noise in {"a": 0.1, "b": 0.1, "none": 0.0}.items():
        write_damaged(model, tmp_path / name, noised(weights, noise, seed=7))
    a, b, none = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b", "none"))
    assert a == b != none
    after = load_file(tmp_path / "none" / "model.safetensors")
    assert all(weights[name].equal(after[name]) for name in weights)


def test_the_damage_tool_writes_beside_and_leaves_the_model_alone(tmp_path: Path) -> None:
    model = served_model(MODELS)
    before = (model / "model.safetensors").read_bytes()
    run("translator.damage", str(model), str(tmp_path / "out"), "--noise", "0.3")
    assert (model / "model.safetensors").read_bytes() == before != (tmp_path / "out" / "model.safetensors").read_bytes()


def test_pairs_without_chinese_and_repetitions_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "x.zh-en.tsv"
    file.write_text("你好\tHello\n你好\tHello\nabc\tabc\n你好\n再见\t\n再见\tBye\n", encoding="utf-8")
    assert [(pair.source, pair.target) for pair in read_pairs(file)] == [("你好", "Hello"), ("再见", "Bye")]


def test_batches_hold_every_pair_once_within_their_size() -> None:
    pairs = [Encoded([9] * (1 + n % 17), [n] * (1 + n % 23)) for n in range(1, 500)]
    made = list(batches(pairs, 120, seed=3))
    assert sorted(pair.target[0] for batch in made for pair in batch) == list(range(1, 500))
    for batch in made:
        assert len(batch) * max(max(len(pair.source), len(pair.target)) for pair in batch) <= 120
    assert made != list(batches(pairs, 120, seed=4))


def test_lengths_of_a_translation_are_plausible() -> None:
    assert plausible(3, 10) and plausible(20, 15)
    assert not plausible(2, 30) and not plausible(30, 2)


def test_the_evaluation_set_reads_as_cases() -> None:
    cases = read_cases(MODELS.parent / "evaluation" / "zh-en.jsonl", limit=3)
    assert [case.group for case in cases] == ["daily"] * 3
