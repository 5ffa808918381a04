"""What the image is made of: frozen requirements and a Dockerfile that the classic builder takes without network."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.translator.running import ROOT

FROZEN = (ROOT / "requirements-frozen.txt").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
TOOLS = {"card", "corpus", "damage", "engines", "footprint", "freeze", "paired", "publish", "score", "train"}
SERVICE = [path for path in (ROOT / "translator").glob("*.py") if path.stem not in TOOLS]
HOSTING = sorted((ROOT / "modelhost").rglob("*.py"))
# The stage alone, without the installed project; at the end, the modules that it used.
RUN = """
import runpy, sys
sys.path.insert(0, ".")
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
try:
    runpy.run_module("translator.bundle", run_name="__main__", alter_sys=True)
finally:
    for name, module in list(sys.modules.items()):
        if name.startswith("translator"):
            print(module.__file__, file=sys.stderr)
    print("translator/bundle.py", file=sys.stderr)
"""
LOCAL = {"translator", "modelhost"}
OPTIONAL = {"fsspec", "mlflow", "dvc", "yaml", "huggingface-hub"}  # asked for by its name where it is needed


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
    third = imported(SERVICE)
    assert {"fastapi", "ctranslate2", "torch", "transformers"} <= third <= set(pins(FROZEN)) | {"yaml"}
    assert imported(HOSTING) - OPTIONAL <= set(pins(FROZEN))


def imported(files: list[Path]) -> set[str]:
    """Names of the third-party packages that files import, written as the index has them."""
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
    aliases = {"prometheus_client": "prometheus-client"}
    return {aliases.get(name, name.replace("_", "-")) for name in names - set(sys.stdlib_module_names) - LOCAL}


def test_importing_the_service_does_not_load_the_model_libraries() -> None:
    """They come in the loading thread, so that /health answers from the first moment."""
    seen = "import sys, translator.app; print(*(name for name in sys.modules if '.' not in name))"
    modules = subprocess.run([sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "transformers", "ctranslate2", "sentencepiece"} & set(modules.split())


def test_the_classic_builder_takes_the_dockerfile() -> None:
    assert not re.search(r"--mount|<<|COPY --chmod|COPY --link", DOCKERFILE)
    assert DOCKERFILE.index("ARG BASE_IMAGE=") < DOCKERFILE.index("FROM ")
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE_IMAGE}"}


def test_the_build_needs_no_network_and_checks_hashes() -> None:
    assert "--no-index" in DOCKERFILE and "--require-hashes" in DOCKERFILE
    assert not re.search(r"curl|wget|apt-get|https?://(?!127\.0\.0\.1)", DOCKERFILE)


def test_dependencies_come_before_weights_and_weights_before_code() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert last.index("/opt/venv /opt/venv") < last.index("/app/registry") < last.index("translator/*.py")


def test_the_stage_of_the_weights_has_all_that_it_runs(tmp_path: Path) -> None:
    """And nothing more than decides their bytes, so that a release of other code shares the layer."""
    stage = DOCKERFILE[DOCKERFILE.index("AS weights") : DOCKERFILE.rindex("FROM ")].replace("\\\n", " ")
    for copied in re.findall(r"^COPY ((?!--from).+)$", stage, re.MULTILINE):
        *sources, target = copied.split()
        for source in sources:
            place = tmp_path / target / Path(source).name if target.endswith("/") else tmp_path / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    command = [sys.executable, "-P", "-c", RUN, "registry"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "model 1.1.0 stable" in done.stdout
    known = {Path(name).stem for name in re.findall(r"translator/(\w+\.py)", stage)}
    assert known == {Path(name).stem for name in done.stderr.split() if name.endswith(".py")}


def test_it_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    for line in ("HEALTHCHECK", "EXPOSE 5000", "STOPSIGNAL SIGTERM", "OMP_WAIT_POLICY=PASSIVE"):
        assert line in DOCKERFILE
