from __future__ import annotations

from pathlib import Path

import pytest

from modelhost.errors import ConfigError, IntegrityError, InvalidRequest, NothingStable, RegistryUnavailable, Unknown
from modelhost.registry.base import Registry, Status
from modelhost.registry.directory import DirectoryRegistry
from tests.modelhost.registry.material import AT_EVERY_CALL, Publish, script


def stable(registry: DirectoryRegistry, *versions: str) -> None:
    for version in versions:
        registry.mark("model", version, Status.STABLE, "anna", "measured")


def test_a_directory_registry_is_a_registry(root: Path) -> None:
    registry: Registry = DirectoryRegistry(root)
    assert registry


@pytest.mark.parametrize("where", ["s3://bucket/models", Path("s3://bucket/models"), "file:///mnt/models"])
def test_a_url_is_no_folder_of_that_name(where: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"RemoteRegistry\(url, cache\).*publish_remote.*registry: \{url: "):
        DirectoryRegistry(where)
    DirectoryRegistry("./s3:/a folder all the same")


def test_a_fresh_version_is_unstable_and_never_latest(root: Path, published: Publish) -> None:
    published("1.0.0")
    registry = DirectoryRegistry(root)

    assert registry.find("model", "1.0.0").status is Status.UNSTABLE
    with pytest.raises(NothingStable):
        registry.find("model")


def test_latest_is_the_newest_stable_by_semver_whatever_came_last(root: Path, published: Publish) -> None:
    for version in ("1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0", "2.0.0"):
        published(version)
    registry = DirectoryRegistry(root)
    stable(registry, "1.10.0", "1.9.0", "1.2.0", "2.0.0-rc.1")

    assert [entry.version for entry in registry.versions("model")] == [
        "2.0.0",
        "2.0.0-rc.1",
        "1.10.0",
        "1.9.0",
        "1.2.0",
    ]
    assert registry.find("model").version == "2.0.0-rc.1"

    registry.mark("model", "v2.0.0-rc.1", Status.REJECTED, "ben", "wrong digits")
    assert registry.find("model", "latest").version == "1.10.0"
    assert registry.find("model", "2.0.0-rc.1").status is Status.REJECTED


def test_a_version_may_be_asked_for_with_a_v(root: Path, published: Publish) -> None:
    entry = published("1.2.0")
    assert DirectoryRegistry(root).find("model", "v1.2.0") == entry
    assert entry.path == root / "model" / "1.2.0"


def test_what_is_unknown_is_answered_with_what_there_is(root: Path, published: Publish) -> None:
    published("1.0.0")
    published("1.10.0")
    registry = DirectoryRegistry(root)

    with pytest.raises(Unknown, match=r"no version 9\.9\.9 of model: there is 1\.10\.0, 1\.0\.0"):
        registry.find("model", "9.9.9")
    with pytest.raises(Unknown, match=r"there is 1\.10\.0, 1\.0\.0"):
        registry.find("model", "newest")
    with pytest.raises(Unknown, match="there is model"):
        registry.versions("tokenizer")
    with pytest.raises(Unknown):
        registry.mark("model", "9.9.9", Status.STABLE, "anna", "no such")
    with pytest.raises(InvalidRequest):
        registry.find("../model", "1.0.0")


def test_a_registry_that_is_not_there_is_unavailable_and_not_empty(root: Path) -> None:
    for ask in (lambda r: r.components(), lambda r: r.versions("model"), lambda r: r.find("model", "1.0.0")):
        with pytest.raises(RegistryUnavailable, match="mounted"):
            ask(DirectoryRegistry(root))


def test_the_log_tells_who_changed_what_and_why(root: Path, published: Publish) -> None:
    published("1.0.0", note="first of all")
    registry = DirectoryRegistry(root)
    change = registry.mark("model", "1.0.0", Status.STABLE, "ben", "BLEU held\nover a week")

    log = registry.log("model")
    assert [(line.version, line.status, line.who, line.why) for line in log] == [
        ("1.0.0", Status.UNSTABLE, "anna", "published: first of all"),
        ("1.0.0", Status.STABLE, "ben", "BLEU held\nover a week"),
    ]
    assert log[-1] == change
    assert DirectoryRegistry(root).log("model") == log


def test_nobody_marks_without_a_name_and_a_reason(root: Path, published: Publish) -> None:
    published("1.0.0")
    for who, why in (("", "x"), ("anna", " ")):
        with pytest.raises(InvalidRequest):
            DirectoryRegistry(root).mark("model", "1.0.0", Status.STABLE, who, why)


def test_a_torn_last_line_is_not_read_and_the_next_mark_repairs_it(root: Path, published: Publish) -> None:
    published("1.0.0")
    published("1.1.0")
    registry = DirectoryRegistry(root)
    stable(registry, "1.0.0")
    log = root / "model" / "status.jsonl"
    whole = log.read_bytes()
    stable(registry, "1.1.0")
    line = log.read_bytes()[len(whole) :]

    for length in (1, len(line) // 2, len(line) - 1):
        log.write_bytes(whole + line[:length])
        assert registry.find("model").version == "1.0.0"
        registry.mark("model", "1.0.0", Status.REJECTED, "ben", "after the tear")
        assert [change.why for change in registry.log("model")][-1] == "after the tear"
        assert len(registry.log("model")) == len(whole.splitlines()) + 1
        assert log.read_bytes().startswith(whole)


def test_an_unreadable_line_in_the_middle_is_not_passed_over(root: Path, published: Publish) -> None:
    published("1.0.0")
    log = root / "model" / "status.jsonl"
    log.write_bytes(b'{"at": "yesterday"}\n' + log.read_bytes())

    with pytest.raises(IntegrityError, match="line 1 of"):
        DirectoryRegistry(root).find("model", "1.0.0")


def test_a_reader_sees_what_others_changed(root: Path, published: Publish) -> None:
    published("1.0.0")
    reader, writer = DirectoryRegistry(root), DirectoryRegistry(root)
    assert [entry.status for entry in reader.versions("model")] == [Status.UNSTABLE]

    stable(writer, "1.0.0")
    assert reader.find("model").version == "1.0.0"
    published("1.1.0")
    assert len(reader.versions("model")) == 2


def test_links_strangers_and_hidden_names_are_no_versions(root: Path, published: Publish) -> None:
    entry = published("1.0.0")
    (root / "model" / "1.1.0").symlink_to(entry.path)
    (root / "model" / ".staging-1.2.0-x").mkdir()
    (root / "model" / "backup").mkdir()
    (root / "model" / "v1.3.0").mkdir()
    (root / "other").symlink_to(root / "model")
    (root / "empty").mkdir()
    registry = DirectoryRegistry(root)

    assert registry.components() == ["model"]
    assert [one.version for one in registry.versions("model")] == ["1.0.0"]
    with pytest.raises(IntegrityError, match="link"):
        registry.find("model", "1.1.0")
    with pytest.raises(Unknown):
        registry.find("other", "1.0.0")


def test_a_half_copied_version_is_named_and_the_others_are_still_listed(root: Path, published: Publish) -> None:
    published("1.0.0")
    (root / "model" / "1.1.0").mkdir()
    registry = DirectoryRegistry(root)

    assert [one.version for one in registry.versions("model")] == ["1.0.0"]
    with pytest.raises(IntegrityError, match="half copied"):
        registry.find("model", "1.1.0")


def test_a_broken_newest_stable_version_is_an_error_and_not_passed_over(root: Path, published: Publish) -> None:
    published("1.0.0")
    entry = published("1.1.0")
    registry = DirectoryRegistry(root)
    stable(registry, "1.0.0", "1.1.0")
    path = entry.path / "version.json"
    path.chmod(0o644)
    path.write_text(path.read_text()[:-20])

    with pytest.raises(IntegrityError, match="cannot be read"):
        registry.find("model")


def test_a_version_that_lies_in_anothers_place_is_refused(root: Path, published: Publish) -> None:
    published("1.0.0")
    entry = published("1.1.0")
    entry.path.rename(root / "model" / "1.2.0")

    with pytest.raises(IntegrityError, match=r"belongs to model 1\.1\.0"):
        DirectoryRegistry(root).find("model", "1.2.0")


def test_repeated_questions_read_no_file_again(root: Path, published: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    published("1.0.0")
    registry = DirectoryRegistry(root)
    stable(registry, "1.0.0")
    first = registry.find("model")

    def refuse(path: Path) -> bytes:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert registry.find("model").info is first.info


MARKER = """
    from modelhost.registry.base import Status
    from modelhost.registry.directory import DirectoryRegistry
    registry = DirectoryRegistry(sys.argv[2])
    for number in range(25):
        registry.mark("model", "1.0.0", Status.STABLE, sys.argv[3], f"{number} " + "long " * 200)
"""


def test_processes_that_mark_at_once_lose_and_tear_no_line(root: Path, published: Publish) -> None:
    published("1.0.0")
    processes = [script(MARKER, root, f"process-{number}") for number in range(3)]
    assert [process.communicate()[1] for process in processes] == [""] * 3

    log = DirectoryRegistry(root).log("model")[1:]
    assert len(log) == 75
    for number in range(3):
        own = [change.why.split()[0] for change in log if change.who == f"process-{number}"]
        assert own == [str(count) for count in range(25)]


KILLED = (
    AT_EVERY_CALL
    + """
    from modelhost.registry.base import Status
    from modelhost.registry.directory import DirectoryRegistry
    registry = DirectoryRegistry(sys.argv[2])

    def look(call):
        assert registry.find("model").version == "1.0.0"
        assert all(change.why in ("measured", "published: first", "promoted") for change in registry.log("model"))

    killed_at_every_call(lambda: registry.mark("model", "1.0.0", Status.STABLE, "process", "promoted"), look)
"""
)


def test_a_kill_while_marking_leaves_the_log_readable(root: Path, published: Publish) -> None:
    published("1.0.0")
    stable(DirectoryRegistry(root), "1.0.0")
    process = script(KILLED, root)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert int(output) > 2
    assert DirectoryRegistry(root).log("model")[-1].why == "promoted"
