"""What the imports left is looked at before the first request, in processes that know nothing but one service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.modelhost.serving.workshop import Workshop

ROOT = Path(__file__).resolve().parents[3]
SERVICE = """
import gc, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.modelhost.serving.workshop import Workshop

eval(sys.argv[3])
full = lambda: gc.get_stats()[2]["collections"]
shop = Workshop(Path(sys.argv[2]))
before = full()
serving = shop.serve({"model": "1.0.0"})
started = full()
serving.swap({"model": "2.0.0"}, who="ann", why="better")
print(started - before, full() - started)
"""


def collections(shop: Workshop, collector: str) -> list[int]:
    """Full collections until the service served, and in its first switch. `collector`: how Python's is set."""
    command = [sys.executable, "-c", SERVICE, str(ROOT), str(shop.path), collector]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return [int(word) for word in ended.stdout.split()]


def test_there_is_a_full_collection_before_the_first_set_serves_and_none_at_a_switch(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    assert collections(shop, "gc.set_threshold(10**9)") == [1, 0]


def test_a_service_that_turned_the_collector_off_is_obeyed(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    assert collections(shop, "gc.disable()") == [0, 0]
