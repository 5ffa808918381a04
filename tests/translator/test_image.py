"""What the image is made of: frozen requirements and a Dockerfile that the classic builder takes without network."""

from __future__ import annotations

import ast
import re
import sys

from tests.translator.running import ROOT

FROZEN = (ROOT / "requirements-frozen.txt").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICE = (
    "__init__",
    "__main__",
    "app",
    "errors",
    "metrics",
    "naming",
    "model",
    "schema",
    "settings",
)
SERVICE += ("text", "worker")


def pins(text: str) -> dict[str, str]:
    """Pinned versions by name."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s\\]+)", text, re.MULTILINE))


def test_every_requirement_is_pinned_once_with_a_hash() -> None:
    blocks = re.findall(r"^[a-z0-9-]+==[^\s\\+]+ \\\n    --hash=sha256:[0-9a-f]{64}$", FROZEN, re.MULTILINE)
    lines = [line for line in FROZEN.splitlines() if line and not line.startswith("#")]
    assert len(lines) == 2 * len(blocks) == 2 * len(pins(FROZEN))


def test_no_host_and_no_folder_is_named() -> None:
    assert not re.search(r"://|^-|\.org|\.com|/", "\n".join(FROZEN.splitlines()[2:]), re.MULTILINE)


def test_what_the_service_asks_for_is_frozen_at_that_version() -> None:
    asked = pins((ROOT / "translator" / "requirements.in").read_text(encoding="utf-8").replace("_", "-"))
    assert asked.items() <= pins(FROZEN).items()


def test_the_service_imports_nothing_that_is_not_frozen() -> None:
    imported = set()
    for name in SERVICE:
        tree = ast.parse((ROOT / "translator" / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    third = {name.replace("_", "-") for name in imported - set(sys.stdlib_module_names) - {"translator"}}
    assert third and third <= set(pins(FROZEN))


def test_importing_the_service_does_not_load_the_model_libraries() -> None:
    """They come in the loading thread, so that /health answers from the first moment."""
    for name in ("app", "model", "worker", "schema"):
        tree = ast.parse((ROOT / "translator" / f"{name}.py").read_text(encoding="utf-8"))
        top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        top |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        assert not {module for module in top if (module or "").startswith(("torch", "transformers"))}, name


def test_the_classic_builder_takes_the_dockerfile() -> None:
    assert not re.search(r"--mount|<<|COPY --chmod|COPY --link", DOCKERFILE)
    assert DOCKERFILE.index("ARG BASE_IMAGE=") < DOCKERFILE.index("FROM ")
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE_IMAGE}"}


def test_the_build_needs_no_network_and_checks_hashes() -> None:
    assert "--no-index" in DOCKERFILE and "--require-hashes" in DOCKERFILE
    assert not re.search(r"curl|wget|apt-get|https?://(?!127\.0\.0\.1)", DOCKERFILE)


def test_dependencies_come_before_weights_and_weights_before_code() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert last.index("/opt/venv /opt/venv") < last.index("translator/models") < last.index("translator/*.py")


def test_it_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    for line in ("HEALTHCHECK", "EXPOSE 5000", "STOPSIGNAL SIGTERM", "OMP_WAIT_POLICY=PASSIVE"):
        assert line in DOCKERFILE
