"""What the tests publish, and processes that publish it and are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelhost.registry.base import Entry

ROOT = Path(__file__).parents[3]


def metadata(**fields: Any) -> dict[str, Any]:
    """Complete metadata, with `fields` instead of its own."""
    complete = {
        "component": "model",
        "version": "1.0.0",
        "loader": "safetensors",
        "note": "first",
        "metrics": {"bleu": 31.5},
        "training_data": ["news-2024"],
        "environment": {"python": "3.11.7", "packages": {"torch": "2.13.0"}},
        "preprocessing": "sentencepiece/1",
        "postprocessing": "detokenize/1",
        "interface": {
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "translation", "datatype": "BYTES", "shape": [-1]}],
            "shape": "translation/1",
        },
    }
    return complete | fields


def weights(folder: Path, content: str = "weights", **others: bytes) -> Path:
    """A folder with three files, one of them further down."""
    (folder / "vocab").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content.encode() * 1000)
    (folder / "config.json").write_text(json.dumps({"is": content}))
    (folder / "vocab" / "source.spm").write_bytes(b"pieces " * 100)
    for name, data in others.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


Publish = Callable[..., Entry]


def script(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process that runs `code` in this project; its output is text."""
    helpers = "import sys\nsys.path.insert(0, sys.argv[1])\n"
    return subprocess.Popen(
        [sys.executable, "-c", helpers + textwrap.dedent(code), str(ROOT), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# Runs `action` in a process of its own that is killed at its n-th call into the file system, for n = 0, 1, 2 …, until
# one gets through; `after(n)` looks at what is left. Prints how many were killed. `prepare(n)` is run in that process
# first, where nobody is killed yet, and what it returns is handed to `action`.
AT_EVERY_CALL = """
    import os, signal
    CALLS = {"open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "os.truncate", "fcntl.flock",
             "fcntl.ioctl", "os.scandir", "os.utime", "shutil.rmtree"}

    def killed_at_every_call(action, after, prepare=None):
        number = 0
        while True:
            child = os.fork()
            if child == 0:
                left = number
                given = () if prepare is None else (prepare(number),)
                def count(event, arguments):
                    nonlocal left
                    if event in CALLS:
                        if left <= 0:  # below it where two threads counted at once
                            os.kill(os.getpid(), signal.SIGKILL)
                        left -= 1
                sys.addaudithook(count)
                try:
                    action(*given)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0, number
                print(number, flush=True)
                return
            after(number)
            number += 1
"""
