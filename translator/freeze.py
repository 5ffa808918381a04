"""Write requirements-frozen.txt: `python -m translator.freeze` resolves translator/requirements.in with hashes.

Run it with the Python and on the platform of the image (CPython 3.11, Linux, x86-64): one wheel of each package is
pinned. From the default index torch brings several gigabytes of CUDA libraries; name an index or a folder with its CPU
build by pip's own settings (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS) before running this. No index or folder is written
down: the hash says which wheel it is, wherever it comes from.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HEAD = """\
# Made by `python -m translator.freeze` from translator/requirements.in; do not edit.
# CPython 3.11, Linux, x86-64. torch is its CPU build: the hash fits no other.
"""


def resolve(requirements: Path) -> list[dict[str, Any]]:
    """pip's report on what it would install into an empty environment, wheels only."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--only-binary", ":all:", "--report", "-", "--requirement", str(requirements)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    installs: list[dict[str, Any]] = json.loads(output)["install"]
    return installs


def frozen(installs: list[dict[str, Any]]) -> str:
    """The requirements file: a name, its public version and the hash of the chosen wheel, sorted by name."""
    lines = {}
    for item in installs:
        name = item["metadata"]["name"].lower().replace("_", "-")
        version = item["metadata"]["version"].partition("+")[0]  # the build, as in +cpu, is the hash's affair
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines[name] = f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
    return HEAD + "".join(lines[name] for name in sorted(lines))


def main() -> None:
    """Resolve and write."""
    target = ROOT / "requirements-frozen.txt"
    target.write_text(frozen(resolve(Path(__file__).with_name("requirements.in"))), encoding="utf-8")
    print(f"{target}: {target.read_text(encoding='utf-8').count('--hash')} packages")


if __name__ == "__main__":
    main()
