"""`tools/system` knows what is missing, on a host that has no package manager to change anything with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("bash", "dirname", "id", "grep", "sed", "cat", "tput", "env")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("fonts", "missing"), [("", True), ("Noto Sans CJK SC", False)])
def test_a_font_with_chinese_is_wanted_and_any_will_do(tmp_path: Path, fonts: str, missing: bool) -> None:
    """Without one Chromium draws boxes in place of the translator's text."""
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tmp_path / tool).symlink_to(found)
    for name, said in (("fc-list", fonts), ("dpkg-query", "")):
        (tmp_path / name).write_text(f"#!/bin/bash\necho '{said}'\n" if said else "#!/bin/bash\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [shutil.which("bash") or "bash", str(ROOT / "tools/system"), "fonts-wqy-microhei"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("fonts-wqy-microhei" in done.stdout + done.stderr) == missing
