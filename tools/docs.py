"""Writes the generated parts of the documentation anew: `tools/docs.py`; `--check` only says what is out of date.

Two kinds: Markdown with blocks that cog fills (`[[[cog … ]]]`), and whole pages that a module of the toolkit prints.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Page and the module that prints it to standard output.
PAGES = {"docs/manifest.md": "release.config.reference", "docs/commands.md": "release.cli.reference"}


def markdown() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def cogged() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in markdown() if "[[[cog" in path.read_text(encoding="utf-8")]


def refresh_blocks(check: bool) -> bool:
    """Runs cog over every page that has blocks for it; True where all are (or were made) current."""
    files = cogged()
    if not files:
        return True
    how = ["--check", "--diff"] if check else ["-r"]
    return subprocess.run([sys.executable, "-m", "cogapp", *how, *files], cwd=ROOT).returncode == 0


def refresh_page(page: str, module: str, check: bool) -> bool:
    """Prints one page by its module and compares or writes it; True where it is (or was made) current."""
    if importlib.util.find_spec(module) is None:
        return True
    printed = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True)
    if printed.returncode != 0:
        print(f"{page}: {module} failed\n{printed.stderr}", file=sys.stderr)
        return False
    path = ROOT / page
    if path.exists() and path.read_text(encoding="utf-8") == printed.stdout:
        return True
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(printed.stdout, encoding="utf-8")
    else:
        print(f"{page} is out of date; run `make docs`", file=sys.stderr)
    return not check


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: tools/docs.py [--check]", file=sys.stderr)
        return 2
    check = bool(arguments)
    results = [refresh_blocks(check), *(refresh_page(page, module, check) for page, module in PAGES.items())]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
