"""What the imports left is set aside before the first load, in processes that know nothing but one service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.modelhost.serving.workshop import Workshop

ROOT = Path(__file__).resolve().parents[3]
SERVICE = """
import gc, sys, weakref
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.modelhost.serving.workshop import TextLoader, Workshop

class Circular(TextLoader):
    def load(self, entry, placement):
        loaded = super().load(entry, placement)
        self.models.clear()
        model = loaded.model
        model.itself = model
        models.append(weakref.ref(model))
        return replace(loaded, close=lambda: None)

def full():
    return gc.get_stats()[2]["collections"]

models = []
imported = [[] for _ in range(1000)]
exec(sys.argv[3])
shop = Workshop(Path(sys.argv[2]), Circular())
frozen, before = gc.get_freeze_count(), full()
serving = shop.serve({"model": "1.0.0"})
started = full()
serving.swap({"model": "2.0.0"}, who="ann", why="better")
switched = full()
gc.enable()
gc.collect()
aside = gc.get_freeze_count() - frozen > 1000
print(started - before, switched - started, aside, [ref() is not None for ref in models])
"""


def told(shop: Workshop, collector: str) -> str:
    """Full collections until the service served, and in its first switch; whether what was imported was set aside;
    which of the two models, whose loader leaves them to the collector, is in memory at the end. `collector`: how
    Python's is set."""
    shop.publish("model", "1.0.0", "2.0.0")
    command = [sys.executable, "-c", SERVICE, str(ROOT), str(shop.path), collector]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_what_was_imported_is_set_aside_and_a_model_is_not(shop: Workshop) -> None:
    assert told(shop, "gc.set_threshold(10**9)") == "2 0 True [False, True]"


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        ("gc.disable()", "0 0 False [False, True]"),
        ("gc.set_threshold(10**9); gc.freeze()", "1 0 False [False, True]"),
    ],
)
def test_a_service_that_minds_the_collector_itself_is_obeyed(shop: Workshop, collector: str, expected: str) -> None:
    assert told(shop, collector) == expected
