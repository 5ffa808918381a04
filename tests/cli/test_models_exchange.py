"""`release models publish --from …` and `export`: MLflow's own client, DVC's files, a Hugging Face-style folder."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.calling import Call
from tests.support.versions import Publish, damaged, metadata, weights


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def about(tmp_path: Path, *without: str) -> str:
    said = {name: value for name, value in metadata().items() if name not in ("component", "version", *without)}
    (tmp_path / "here" / "model.yaml").write_text(yaml.safe_dump(said))
    return "model.yaml"


def says(call: Call, registry: Path, version: str = "1.0.0") -> dict[str, Any]:
    shown = call("models", "show", "translator", version, "--registry", str(registry), "--json")
    return dict(json.loads(shown.out)["says"])


def test_what_is_exported_to_mlflow_comes_back_as_it_was(
    call: Call, registry: Path, tmp_path: Path, published: Publish, tracking: str
) -> None:
    published("1.0.0", status="stable", mates={"tokenizer": "sha256:" + "ab" * 32})
    export = ("models", "export", "translator", "--registry", str(registry), "--tracking", tracking)
    done = call(*export, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["data"] == {
        "component": "translator",
        "version": "1.0.0",
        "name": "translator",
        "number": "1",
    }
    assert "translator 1.0.0 is translator/1 in MLflow" in call(*export).out  # once

    other = tmp_path / "other"
    brought = call(
        "models", "publish", "models:/translator/1", "--from", "mlflow", "--tracking", tracking,
        "--registry", str(other),
    )  # fmt: skip
    assert brought.code == 0, brought.err
    assert says(call, other) == says(call, registry)


def test_a_model_that_others_registered_is_published_by_its_alias(
    call: Call, registry: Path, tmp_path: Path, tracking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking, registry_uri=tracking)
    run = client.create_run(client.create_experiment("x"))
    client.log_metric(run.info.run_id, "bleu", 30.0)
    client.log_artifacts(run.info.run_id, str(weights(tmp_path / "source", "weights")), "model")
    client.create_registered_model("zh-en")
    made = client.create_model_version("zh-en", f"{run.info.artifact_uri}/model", run.info.run_id, description="dates")
    client.set_registered_model_alias("zh-en", "champion", made.version)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    publish = ("models", "publish", "zh-en@champion", "translator", "1.0.0", "--from", "mlflow")
    lacking = call(*publish, "--registry", str(registry))
    assert lacking.code == 1 and "training_data" in lacking.err and "interface" in lacking.err
    done = call(*publish, "--registry", str(registry), "--metadata", about(tmp_path, "metrics", "note"))
    assert done.code == 0, done.err
    assert says(call, registry)["note"] == "dates" and says(call, registry)["metrics"] == {"bleu": 30.0}


def test_a_folder_that_dvc_tracks_and_a_hugging_face_style_one_are_published(
    call: Call, registry: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "here" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text('{"model_type": "marian"}')
    digest = hashlib.md5(b"weights").hexdigest()
    pointer = {"outs": [{"md5": digest, "hash": "md5", "path": "model/model.safetensors"}], "desc": "tracked"}
    (tmp_path / "here" / "weights.dvc").write_text(yaml.safe_dump(pointer))

    where = ("--registry", str(registry), "--metadata", about(tmp_path, "note"))
    tracked = call("models", "publish", "weights.dvc", "translator", "1.0.0", "--from", "dvc", *where)
    assert tracked.code == 0, tracked.err
    assert says(call, registry)["note"] == "tracked"
    made = {"schema": "2.0", "stages": {"train": {"cmd": "train", "outs": pointer["outs"]}}}
    (tmp_path / "here" / "dvc.lock").write_text(yaml.safe_dump(made))
    again = ("dvc.lock:model/model.safetensors", "translator", "1.0.1", "--from", "dvc", "--note", "of a pipeline")
    assert call("models", "publish", *again, *where).code == 0
    assert [file["path"] for file in says(call, registry, "1.0.1")["files"]] == ["model.safetensors"]
    where = (*where, "--note", "from a hub")
    hub = call("models", "publish", "model", "translator", "1.1.0", "--from", "huggingface", *where)
    assert hub.code == 0, hub.err
    assert [file["path"] for file in says(call, registry, "1.1.0")["files"]] == ["config.json", "model.safetensors"]
    (folder / "model.safetensors").write_bytes(b"changed")
    changed = call("models", "publish", "weights.dvc", "translator", "1.2.0", "--from", "dvc", *where)
    assert changed.code == 1 and "is not what DVC tracked" in changed.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("publish", "translator/1", "--from", "mlflow"), 2, "nothing says where MLflow is"),
        (("publish", "a/b/c", "--from", "mlflow", "--tracking", "{tracking}"), 2, "names no model of MLflow's"),
        (("publish", "absent/1", "--from", "mlflow", "--tracking", "{tracking}"), 2, "does not know absent 1"),
        (("export", "translator", "9.9.9", "--tracking", "{tracking}"), 2, "there is 1.0.0"),
        (("export", "translator"), 2, "nothing says where MLflow is"),
        (("export", "translator", "1.0.0", "--tracking", "http://ada:secret@127.0.0.1:9"), 3, "cannot be used"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_to_do(
    call: Call, registry: Path, published: Publish, tracking: str, arguments: tuple[str, ...], code: int, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    published("1.0.0", status="stable")
    given = [each.replace("{tracking}", tracking) for each in arguments]
    answer = call("models", *given, "--registry", str(registry))
    assert (answer.code, said in answer.err) == (code, True), answer.err
    assert "secret" not in answer.err


def test_damaged_files_are_not_exported(call: Call, registry: Path, published: Publish, tracking: str) -> None:
    damaged(published("1.0.0", status="stable").path)
    refused = call("models", "export", "translator", "--registry", str(registry), "--tracking", tracking)
    assert refused.code == 1 and "model.safetensors was changed" in refused.err


@pytest.mark.parametrize("command", [("export", "translator"), ("publish", "translator/1", "--from", "mlflow")])
def test_without_mlflow_the_package_is_named(
    call: Call, registry: Path, published: Publish, tracking: str, command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    published("1.0.0", status="stable")
    for name in [name for name in sys.modules if name.split(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("mlflow", "mlflow.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    answer = call("models", *command, "--registry", str(registry), "--tracking", tracking)
    assert answer.code == 2 and "pip install mlflow-skinny" in answer.err
