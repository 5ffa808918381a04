"""Tags, exports and snapshots on real git repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from release.errors import Refused, SourceError, UsageError
from release.source import Source
from release.source.repository import public_url
from tests.support.services import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    (path / "app.py").write_text("one\n")
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "link").symlink_to("app.py")
    (path / "tests").mkdir()
    (path / "tests" / "data.txt").write_text("$Format:%H$\n")
    (path / ".gitattributes").write_text("tests export-ignore\n*.txt export-subst\n")
    (path / ".gitignore").write_text("*.log\n")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "-m", "one")
    git(path, "tag", "-a", "v1.0.0", "-m", "one")
    return path


def files(tree: Path) -> set[str]:
    return {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_symlink() or p.is_file()}


def test_a_tag_names_the_full_commit_and_its_first_seven(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    for tag in ("v1.0.0", f"v1.0.0-{head[:7]}"):
        resolved = Source(repository / "tests").resolve(tag)
        assert (resolved.commit, str(resolved.release)) == (head, f"v1.0.0-{head[:7]}")
    git(repository, "tag", "v1.0.1-rc.1")  # a lightweight one
    assert Source(repository).resolve("v1.0.1-rc.1").commit == head


def test_a_release_name_of_another_commit_is_refused(repository: Path) -> None:
    with pytest.raises(Refused, match="0000000"):
        Source(repository).resolve("v1.0.0-0000000")


@pytest.mark.parametrize("text", ["latest", "1.0.0", "v1.0", "v01.0.0", "v1.0.0+build", "--help", ""])
def test_what_is_no_release_tag_is_a_usage_error(repository: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no release tag"):
        Source(repository).resolve(text)


def test_an_unknown_tag_lists_near_ones_and_how_to_fetch_it(repository: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Source(repository).resolve("v1.0.2")
    assert "v1.0.0" in caught.value.message and "v1.0.2" in str(caught.value.hint)


def test_a_shallow_clone_says_that_it_is_one(repository: Path, tmp_path: Path) -> None:
    (repository / "app.py").write_text("two\n")
    git(repository, "commit", "--quiet", "-am", "two")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "clone")
    with pytest.raises(UsageError, match="shallow") as caught:
        Source(tmp_path / "clone").resolve("v1.0.0")
    assert "git fetch origin tag v1.0.0" in str(caught.value.hint)


def test_an_export_is_the_whole_commit_whatever_is_checked_out(repository: Path, tmp_path: Path) -> None:
    source = Source(repository)
    commit = source.resolve("v1.0.0").commit
    (repository / "app.py").write_text("two\n")
    git(repository, "commit", "--quiet", "-am", "two")
    (repository / "app.py").write_text("dirty\n")
    (repository / "new.py").write_text("untracked\n")
    before = git(repository, "status", "--porcelain")
    source.export(commit, tmp_path / "out")
    assert files(tmp_path / "out") == {"app.py", "run.sh", "link", "tests/data.txt", ".gitattributes", ".gitignore"}
    assert (tmp_path / "out" / "app.py").read_text() == "one\n"
    assert (tmp_path / "out" / "tests" / "data.txt").read_text() == "$Format:%H$\n"
    assert (tmp_path / "out" / "link").readlink() == Path("app.py")
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert git(repository, "status", "--porcelain") == before


def test_a_linked_worktree_and_a_bare_repository_will_do(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
    for number, place in enumerate(("linked", "bare.git")):
        source = Source(tmp_path / place)
        out = tmp_path / f"out{number}"
        source.export(source.resolve("v1.0.0").commit, out)
        assert (out / "app.py").read_text() == "one\n"


def test_inside_a_git_hook_the_given_repository_is_meant(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert Source(repository).resolve("v1.0.0").commit


def test_submodules_are_refused_by_name(repository: Path, tmp_path: Path) -> None:
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "vendored")
    git(repository, "commit", "--quiet", "-m", "with a submodule")
    with pytest.raises(SourceError, match="vendored is a submodule"):
        Source(repository).export("HEAD", tmp_path / "out")


def test_git_lfs_pointers_are_refused(repository: Path, tmp_path: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    (repository / "weights.bin").write_text(pointer)
    git(repository, "add", "weights.bin")
    git(repository, "commit", "--quiet", "-m", "weights")
    with pytest.raises(SourceError, match=r"weights\.bin"):
        Source(repository).export("HEAD", tmp_path / "out")


def test_a_snapshot_holds_what_is_there_now_and_is_named_after_it(repository: Path, tmp_path: Path) -> None:
    (repository / "app.py").write_text("dirty\n")
    (repository / "new.py").write_text("untracked\n")
    (repository / "noise.log").write_text("ignored\n")
    (repository / "run.sh").unlink()
    first = Source(repository).snapshot(tmp_path / "first")
    assert files(tmp_path / "first") == {"app.py", "new.py", "link", "tests/data.txt", ".gitattributes", ".gitignore"}
    assert (tmp_path / "first" / "app.py").read_text() == "dirty\n"
    assert first.snapshot and first.release.tag.startswith("v1.0.0-snapshot.h")
    assert Source(repository).snapshot(tmp_path / "same").release == first.release
    (repository / "new.py").write_text("changed\n")
    assert Source(repository).snapshot(tmp_path / "other").release != first.release


def test_a_snapshot_before_the_first_commit_is_an_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(SourceError, match="at least one commit"):
        Source(tmp_path).snapshot(tmp_path / "out")


def test_no_repository_and_no_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="in no git repository"):
        Source(tmp_path)
    with pytest.raises(SourceError, match="no directory"):
        Source(tmp_path / "nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_a_repository_of_another_user_is_told_with_the_way_out(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # a home without safe.directory
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    subprocess.run(["chown", "-R", "nobody", str(repository)], check=True)
    with pytest.raises(SourceError, match="does not trust") as caught:
        Source(repository).resolve("v1.0.0")
    assert "safe.directory" in str(caught.value.hint)


def test_a_file_is_read_as_the_commit_holds_it(repository: Path) -> None:
    source = Source(repository)
    commit = source.resolve("v1.0.0").commit
    (repository / "app.py").write_text("dirty\n")
    assert (source.read(commit, "app.py") or "").strip() == "one"
    assert source.read(commit, "nothing.yaml") is None


def test_a_file_that_is_no_text_is_an_error(repository: Path) -> None:
    (repository / "app.py").write_bytes(b"\xff\xfe")
    git(repository, "commit", "--quiet", "--all", "-m", "two")
    with pytest.raises(SourceError, match="no UTF-8 text"):
        Source(repository).read(git(repository, "rev-parse", "HEAD"), "app.py")


def test_times_and_modes_of_an_export_are_the_commits_own(repository: Path, tmp_path: Path) -> None:
    source = Source(repository)
    trees = [tmp_path / "one", tmp_path / "two"]
    for tree, umask in zip(trees, (0o022, 0o077), strict=True):
        before = os.umask(umask)
        source.export(source.resolve("v1.0.0").commit, tree)
        os.umask(before)
    one, two = ({p.relative_to(t): (p.lstat().st_mode, p.lstat().st_mtime) for p in t.rglob("*")} for t in trees)
    assert one == two and len({time for _, time in one.values()}) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://robot:token@example.com:8443/team/app.git", "https://example.com:8443/team/app"),
        ("git@example.com:team/app.git", "https://example.com/team/app"),
        ("ssh://git@example.com/team/app", "ssh://example.com/team/app"),
        ("https://[2001:db8::1]:8443/app.git", "https://[2001:db8::1]:8443/app"),
        ("https://example.com:port/app.git", ""),
        ("/srv/git/app.git", ""),
        ("file:///srv/git/app.git", ""),
    ],
)
def test_an_origin_is_shown_without_its_credentials(repository: Path, url: str, shown: str) -> None:
    git(repository, "remote", "add", "origin", url)
    assert Source(repository).resolve("v1.0.0").origin_url == shown == public_url(url)
