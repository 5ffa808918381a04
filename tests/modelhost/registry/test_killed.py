"""Publishers and operators that are killed on the way: the registry is whole, and the same number can be published
again, in a directory at every call into the file system, on an object store between any two objects."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from modelhost.errors import Conflict
from modelhost.registry.base import Status
from modelhost.registry.collect import gc
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import AT_EVERY_CALL, metadata, script, weights
from tests.modelhost.registry.places import Place

PUBLISHED_AGAIN = (
    AT_EVERY_CALL
    + """
    import json
    from pathlib import Path
    from modelhost.registry.directory import DirectoryRegistry
    from modelhost.registry.publish import publish
    from modelhost.registry.verify import check_files

    roots, source, described = Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
    seen = set()

    def attempt(number):
        publish(roots / str(number), source, described, who="killed")

    def look(number):
        registry = DirectoryRegistry(roots / str(number))
        there = registry.root.is_dir() and registry.published("model") == ["1.0.0"]
        logged = there and len(registry.changes("model"))
        again = publish(registry.root, source, described, who="anna")
        assert again.fresh is not there, number
        check_files(registry.find("model", "1.0.0"), full=True)
        assert [(line.version, line.status) for line in registry.log("model")] == [("1.0.0", "unstable")], number
        seen.add((there, logged))

    killed_at_every_call(attempt, look, prepare=lambda number: number)
    print(json.dumps(sorted(seen)))
"""
)


def test_the_same_number_is_published_again_after_a_kill_at_any_call(tmp_path: Path) -> None:
    source = weights(tmp_path / "source")
    process = script(PUBLISHED_AGAIN, tmp_path / "roots", source, json.dumps(metadata()))
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    killed, seen = output.splitlines()
    assert int(killed) > 30
    # Nothing there; arrived and not in the log; in the log, and killed while tidying up.
    assert json.loads(seen) == [[False, False], [True, 0], [True, 1]]


def test_a_number_that_its_publisher_could_not_log_stays_taken_after_its_files_are_gone(tmp_path: Path) -> None:
    root, source = tmp_path / "registry", weights(tmp_path / "source")
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        publish(root, source, metadata(version=version), who="anna")
        if version != "1.0.0":
            DirectoryRegistry(root).mark("model", version, Status.STABLE, "anna", "measured")
    log = root / "model" / "status.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(True) if "1.0.0" not in line))
    gone = gc(DirectoryRegistry(root), grace=timedelta(0)).removed
    assert [entry.version for entry in gone] == ["1.0.0"]
    with pytest.raises(Conflict, match="removed since"):
        publish(root, weights(tmp_path / "other", "other"), metadata(), who="eve")


# Publishes, then promotes in the registry; before its n-th act that writes it kills itself.
WRITER = """
    import json, os, signal
    from pathlib import Path
    from modelhost.registry.base import Status
    from modelhost.registry.bucket import Bucket
    from modelhost.registry.remote import RemoteRegistry
    from modelhost.registry.upload import publish_remote

    url, options, cache, source, described, left = sys.argv[2:]
    left = int(left)

    def counted(act):
        def counting(*arguments):
            global left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return act(*arguments)
        return counting

    for name in ("upload", "create", "put"):
        setattr(Bucket, name, counted(getattr(Bucket, name)))
    registry = RemoteRegistry(url, cache, json.loads(options))
    publish_remote(registry, Path(source), json.loads(described), who="killed")
    registry.mark("model", "1.0.0", Status.STABLE, "killed", "measured")
    print("whole")
"""
FILES = 3
MARKS = 2  # of a publisher who is at it: before the files, and before its last look at them


@pytest.mark.parametrize("acts", range(FILES + MARKS + 4))
def test_between_any_two_objects_of_a_store_a_version_is_whole_or_absent(s3: Place, tmp_path: Path, acts: int) -> None:
    source = weights(tmp_path / "source")
    given = (s3.url, json.dumps(s3.options), tmp_path / "killed", source, json.dumps(metadata()), acts)
    output, errors = script(WRITER, *given).communicate()
    assert (output == "whole\n") == (acts == FILES + MARKS + 3), errors

    registry = s3.registry(tmp_path / "cache")
    described = acts > FILES + MARKS  # `version.json` comes last
    assert ("model/1.0.0/version.json" in s3.names()) is described
    if described:
        check_files(registry.find("model", "1.0.0"), full=True)
    assert publish_remote(registry, source, metadata(), who="anna").fresh is not described
    check_files(s3.registry(tmp_path / "fresh").find("model", "1.0.0"), full=True)
    statuses = [change.status for change in registry.log("model")]
    assert statuses == [Status.UNSTABLE, *([Status.STABLE] if acts == FILES + MARKS + 3 else [])]
    with pytest.raises(Conflict, match=r"difference in config\.json, model\.safetensors"):
        publish_remote(registry, weights(tmp_path / "other", "other"), metadata(), who="eve")
