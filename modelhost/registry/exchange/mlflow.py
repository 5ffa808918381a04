"""Import from MLflow's model registry and export to it, through MLflow's own client (`mlflow-skinny` is enough)."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelhost.errors import IncompleteMetadata, RegistryUnavailable, Unknown
from modelhost.registry.base import Entry
from modelhost.registry.exchange.draft import Draft, optional
from modelhost.registry.layout import VERSION_FILE
from modelhost.registry.publish import gather
from modelhost.registry.verify import check_files

_PACKAGE = "mlflow-skinny"
# Its client tells its makers of each use, and draws progress bars, unless it is asked not to.
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_DIGEST, _STATUS, _VERSION = "modelhost.digest", "modelhost.status", "modelhost.version"


def read_registered(tracking_uri: str, name: str, version: str, folder: Path) -> Draft:
    """Download a registered model into an empty folder: `version` is MLflow's number, or `@alias`.

    Its run's metrics, its description, the time and the environment that MLflow wrote down become metadata; of what
    `write_registered` made, all of it comes back. Raises Unknown, RegistryUnavailable, ConfigError without MLflow.
    """
    with _asking(tracking_uri, f"{name} {version}"):
        client = _client(tracking_uri)
        found = (
            client.get_model_version_by_alias(name, version[1:])
            if version.startswith("@")
            else client.get_model_version(name, version)
        )
        source = client.get_model_version_download_uri(name, found.version)
        artifacts = optional("mlflow.artifacts", _PACKAGE)
        local = artifacts.download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=tracking_uri)
        run = client.get_run(found.run_id) if found.run_id else None
    place = Path(local)
    return Draft(gather(place), _returning(place) or _describe(found, run, place))


def write_registered(entry: Entry, tracking_uri: str, name: str | None = None, experiment: str = "modelhost") -> str:
    """Register a version under `name` (its component where none is given); MLflow's number of it.

    Files are verified first. The same files are registered once: a repetition answers with the number they have.
    Raises IntegrityError, RegistryUnavailable, ConfigError without MLflow.
    """
    check_files(entry, full=True)
    name = name or entry.component
    with _asking(tracking_uri, name):
        client = _client(tracking_uri)
        known = client.search_model_versions(f"name = '{name}'")
        for one in known:
            if one.tags.get(_DIGEST) == entry.info.digest and one.tags.get(_VERSION) == entry.version:
                client.set_model_version_tag(name, one.version, _STATUS, entry.status.value)
                return str(one.version)
        run = client.create_run(_experiment(client, experiment), run_name=f"{entry.component} {entry.version}")
        for metric, value in entry.info.metrics.items():
            client.log_metric(run.info.run_id, re.sub(r"[^\w\-. :/]", "_", metric), value)
        client.log_artifacts(run.info.run_id, str(entry.path), "model")
        client.set_terminated(run.info.run_id)
        if not known:
            _register(client, name)
        tags = {_DIGEST: entry.info.digest, _STATUS: entry.status.value, _VERSION: entry.version}
        source = f"{run.info.artifact_uri}/model"
        made = client.create_model_version(name, source, run.info.run_id, tags=tags, description=entry.info.note)
        return str(made.version)


def _client(tracking_uri: str) -> Any:
    return optional("mlflow", _PACKAGE).MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _register(client: Any, name: str) -> None:
    exceptions = optional("mlflow.exceptions", _PACKAGE)
    try:
        client.create_registered_model(name)
    except exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _returning(folder: Path) -> dict[str, Any]:
    """What a `version.json` of ours says, but for the files."""
    path = folder / VERSION_FILE
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise IncompleteMetadata(
            f"{path.name} among the model's artifacts is no JSON: {error}", "export it anew"
        ) from error
    return {field: value for field, value in said.items() if field != "files"}


def _describe(version: Any, run: Any, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"created": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)}
    if version.description:
        found["note"] = version.description
    if run is not None:
        found["metrics"] = {name: value for name, value in run.data.metrics.items() if math.isfinite(value)}
        inputs = getattr(run.inputs, "dataset_inputs", None) or []
        if inputs:
            found["training_data"] = [f"{one.dataset.name}@{one.dataset.digest}" for one in inputs]
    if environment := _environment(folder):
        found["environment"] = environment
    return found


def _environment(folder: Path) -> dict[str, Any]:
    """What MLflow writes beside a model: python_env.yaml (`python: 3.11.7`) and requirements.txt (`torch==2.13.0`)."""
    try:
        python = re.search(r"^python:\s*['\"]?([\w.]+)", (folder / "python_env.yaml").read_text("utf-8"), re.MULTILINE)
        lines = (folder / "requirements.txt").read_text("utf-8")
    except OSError:
        return {}
    pinned = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", lines, re.MULTILINE)
    return {"python": python.group(1), "packages": dict(pinned)} if python else {}


@contextmanager
def _asking(tracking_uri: str, what: str) -> Iterator[None]:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    exceptions = optional("mlflow.exceptions", _PACKAGE)
    where = _harmless(tracking_uri, tracking_uri)
    try:
        yield
    except exceptions.MlflowException as error:
        told = _harmless(str(error), tracking_uri)
        # A missing alias is an invalid parameter, in MLflow's words.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise Unknown(f"MLflow at {where} does not know {what}: {told}", "look at its name and number") from error
        raise RegistryUnavailable(f"MLflow at {where} cannot be used: {told}", "look at its address") from error
    except OSError as error:
        told = _harmless(str(error), tracking_uri)
        raise RegistryUnavailable(f"MLflow at {where} cannot be read: {told}", "look at its files") from error


def _harmless(text: str, tracking_uri: str) -> str:
    """A text without the name and password that an address may hold."""
    user, at, _ = urlsplit(tracking_uri).netloc.rpartition("@")
    return text.replace(user + at, "") if at else text
