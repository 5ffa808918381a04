from __future__ import annotations

import json
import mmap
from datetime import timedelta
from pathlib import Path

import pytest

from modelhost.errors import Unknown
from modelhost.registry.base import Status
from modelhost.registry.collect import gc
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.retention import Named
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import AT_EVERY_CALL, Publish, script

NONE = timedelta(0)


@pytest.fixture
def registry(root: Path, published: Publish) -> DirectoryRegistry:
    """Five stable versions of a model."""
    registry = DirectoryRegistry(root)
    for minor in range(5):
        published(f"1.{minor}.0")
        registry.mark("model", f"1.{minor}.0", Status.STABLE, "anna", "measured")
    return registry


def left(registry: DirectoryRegistry) -> list[str]:
    return sorted(registry.published("model"))


def test_the_oldest_go_and_the_log_remembers_them(registry: DirectoryRegistry) -> None:
    done = gc(registry, grace=NONE)

    assert sorted(entry.version for entry in done.removed) == ["1.0.0", "1.1.0"]
    assert done.bytes == sum(entry.info.bytes for entry in done.removed) > 0
    assert left(registry) == ["1.2.0", "1.3.0", "1.4.0"]
    with pytest.raises(Unknown):
        registry.find("model", "1.0.0")
    assert "1.0.0" in {change.version for change in registry.log("model")}
    assert [path.name for path in (registry.root / "model").glob(".*")] == [".lock"]


def test_a_dry_run_removes_nothing(registry: DirectoryRegistry) -> None:
    done = gc(registry, grace=NONE, dry_run=True)
    assert [verdict.entry.version for verdict in done.verdicts if not verdict.stays] == ["1.1.0", "1.0.0"]
    assert done.removed == [] and len(left(registry)) == 5


def test_what_is_in_use_is_not_collected(registry: DirectoryRegistry) -> None:
    gc(registry, in_use=[Named("model", "1.0.0")], grace=NONE)
    assert left(registry) == ["1.0.0", "1.2.0", "1.3.0", "1.4.0"]


def test_who_has_the_files_mapped_keeps_reading_them(registry: DirectoryRegistry) -> None:
    path = registry.find("model", "1.0.0").path / "model.safetensors"
    content = path.read_bytes()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        gc(registry, grace=NONE)
        assert not path.exists()
        assert mapped[:] == content


COLLECTOR = (
    AT_EVERY_CALL
    + """
    import json
    from datetime import timedelta
    from pathlib import Path
    from modelhost.registry.collect import gc
    from modelhost.registry.directory import DirectoryRegistry
    from modelhost.registry.verify import check_files

    registry = DirectoryRegistry(Path(sys.argv[2]))
    seen = set()

    def look(call):
        entries = registry.versions("model")
        for entry in entries:
            check_files(entry, full=True)
        seen.add(len(entries))

    killed_at_every_call(lambda: gc(registry, grace=timedelta(0)), look)
    print(json.dumps(sorted(seen)))
"""
)


def test_a_kill_at_any_call_leaves_only_whole_versions_and_the_next_run_goes_on(registry: DirectoryRegistry) -> None:
    process = script(COLLECTOR, registry.root)
    output, errors = process.communicate()
    assert process.returncode == 0, errors

    killed, seen = output.splitlines()
    assert int(killed) > 10
    assert json.loads(seen) == [3, 4, 5]
    assert [path.name for path in (registry.root / "model").glob(".*")] == [".lock"]
    for entry in registry.versions("model"):
        check_files(entry)
