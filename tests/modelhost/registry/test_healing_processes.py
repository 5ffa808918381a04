"""Several processes on one cache whose copy is damaged, and healers that are killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.modelhost.registry.copies import DAMAGES, WEIGHTS, cut, pulled
from tests.modelhost.registry.material import AT_EVERY_CALL, script
from tests.modelhost.registry.places import Place


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


HEALER = """
    import logging
    from modelhost.loading.checks import Integrity
    from modelhost.registry.mounted import Mounted
    from modelhost.registry.remote import RemoteRegistry

    fetch = Mounted.fetch
    def counted(self, info, folder):
        print("fetched", flush=True)
        fetch(self, info, folder)
    Mounted.fetch = counted
    registry = RemoteRegistry(sys.argv[2], sys.argv[3])
    for _ in range(20):
        entry = registry.find("model")
        Integrity()(entry)
        assert (entry.path / "model.safetensors").read_bytes() == b"weights 1.0.0" * 1000
"""


@pytest.mark.parametrize("how", ["cut", "no description"])
def test_of_many_processes_one_heals_and_the_others_find_it_whole(
    mounted: Place, tmp_path: Path, cache: Path, how: str
) -> None:
    _, entry = pulled(mounted, tmp_path)
    DAMAGES[how][0](entry.path)
    processes = [script(HEALER, mounted.url, cache) for _ in range(3)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, outputs
    assert "".join(output for output, _ in outputs) == "fetched\n"
    assert sum(errors.count("healed: ") for _, errors in outputs) == 1


KILLED = (
    AT_EVERY_CALL
    + """
    import json, shutil
    from pathlib import Path
    from modelhost.loading.checks import Integrity
    from modelhost.registry.durable import remove
    from modelhost.registry.remote import RemoteRegistry
    from modelhost.registry.verify import damage

    url, cache, damaged = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    place = cache / "model" / "1.0.0"
    info = RemoteRegistry(url, cache).find("model").info
    seen = set()

    def state():
        if not place.exists():
            return "absent"
        return "; ".join(damage(place, info)) or "whole"

    def heal(_=None):
        Integrity()(RemoteRegistry(url, cache).find("model"))

    def harm(number):
        remove(place)
        shutil.copytree(damaged, place)

    def look(number):
        seen.add(state())
        heal()  # whoever comes next
        assert damage(place, info, full=True) == []

    killed_at_every_call(heal, look, prepare=harm)
    print(json.dumps(sorted(seen)))
"""
)


def test_a_healer_that_is_killed_at_any_call_leaves_it_to_the_next(mounted: Place, tmp_path: Path, cache: Path) -> None:
    registry, entry = pulled(mounted, tmp_path)
    cut(entry.path)
    shutil.copytree(entry.path, tmp_path / "damaged")
    process = script(KILLED, mounted.url, cache, tmp_path / "damaged")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    killed, seen = output.splitlines()
    assert int(killed) > 30
    states = json.loads(seen)
    assert states[0] == "absent" and states[-1] == "whole" and states[1].startswith(f"{WEIGHTS} is cut"), states
    # What they left is swept by the next one that brings a version.
    registry.discard("model", "1.1.0")
    registry.find("model", "1.1.0")
    assert {path.name for path in (cache / "model").glob(".*")} == {".lock"}
