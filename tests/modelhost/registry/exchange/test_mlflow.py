"""With MLflow's own client on a store of files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from modelhost.errors import ConfigError, IncompleteMetadata, IntegrityError, Unknown
from modelhost.registry.exchange.mlflow import read_registered, write_registered
from modelhost.registry.publish import publish
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import Publish, metadata, weights


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return (tmp_path / "mlruns").as_uri()


def client(tracking: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking, registry_uri=tracking)


def test_what_is_exported_comes_back_as_it_was(published: Publish, tracking: str, tmp_path: Path) -> None:
    entry = published("1.2.0", mates={"tokenizer": "sha256:" + "a" * 64}, settings={"beams": 4})
    number = write_registered(entry, tracking)
    seen = client(tracking).get_model_version("model", number)
    assert seen.tags["modelhost.digest"] == entry.info.digest
    assert seen.description == "first"
    assert client(tracking).get_run(seen.run_id).data.metrics == {"bleu": 31.5}

    draft = read_registered(tracking, "model", number, tmp_path)
    again = publish(tmp_path / "other", draft.files, draft.metadata, who="ben").entry
    assert again.info == entry.info
    check_files(again, full=True)


def test_the_same_version_is_exported_once(published: Publish, tracking: str) -> None:
    first, second = published("1.0.0"), published("1.1.0")
    assert [write_registered(entry, tracking) for entry in (first, second, first)] == ["1", "2", "1"]


def test_damaged_files_are_not_exported(published: Publish, tracking: str) -> None:
    entry = published()
    (entry.path / "config.json").chmod(0o644)
    (entry.path / "config.json").write_text("{}")
    with pytest.raises(IntegrityError):
        write_registered(entry, tracking)


def test_a_model_that_others_registered_is_imported_by_its_alias(tracking: str, tmp_path: Path, root: Path) -> None:
    source = weights(tmp_path / "source")
    (source / "python_env.yaml").write_text("python: 3.11.7\nbuild_dependencies: [pip]\n")
    (source / "requirements.txt").write_text("mlflow==3.1\ntorch[cpu]==2.13.0 ; python_version > '3'\nnumpy\n")
    other = client(tracking)
    run = other.create_run(other.create_experiment("x"))
    other.log_metric(run.info.run_id, "bleu", 30.0)
    other.log_artifacts(run.info.run_id, str(source), "model")
    other.create_registered_model("translator")
    made = other.create_model_version(
        "translator", f"{run.info.artifact_uri}/model", run.info.run_id, description="fewer errors in dates"
    )
    other.set_registered_model_alias("translator", "champion", made.version)

    (tmp_path / "download").mkdir()
    draft = read_registered(tracking, "translator", "@champion", tmp_path / "download")
    assert draft.metadata["metrics"] == {"bleu": 30.0}
    assert draft.metadata["note"] == "fewer errors in dates"
    assert draft.metadata["environment"] == {"python": "3.11.7", "packages": {"mlflow": "3.1", "torch": "2.13.0"}}
    with pytest.raises(IncompleteMetadata, match="training_data: "):
        publish(root, draft.files, draft.metadata, who="anna")
    entry = publish(root, draft.files, {**metadata(), **draft.metadata}, who="anna").entry
    assert "model.safetensors" in {file.path for file in entry.info.files}


def test_what_mlflow_does_not_know_is_unknown(tracking: str, tmp_path: Path, published: Publish) -> None:
    write_registered(published(), tracking)
    for name, version in (("absent", "1"), ("model", "9"), ("model", "@champion")):
        with pytest.raises(Unknown):
            read_registered(tracking, name, version, tmp_path)


def test_without_mlflow_the_error_names_the_package(
    published: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(ConfigError, match="pip install mlflow-skinny"):
        write_registered(published(), tmp_path.as_uri())
