"""The git repository: which commit a tag names, and exactly that tree in a folder. Nothing here builds or deploys."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from release import naming
from release.errors import Refused, SourceError, UsageError
from release.naming import ReleaseName
from release.source import tree

if TYPE_CHECKING:
    from git import Repo

_TAG_FORM = "release tags look like v1.2.0, v1.2.1-rc.1 or v1.2.1-fix-parsing-bug"


@dataclass(frozen=True)
class Resolved:
    """What a tag stands for. `commit` is the full hash; `origin_url` carries no credentials and is empty where there is
    no remote. `snapshot` marks an uncommitted working tree, which is never pushed."""

    release: ReleaseName
    commit: str
    origin_url: str = ""
    snapshot: bool = False


class Source:
    """One repository, opened from any directory in it; a linked worktree and a bare repository will do.

    Every method raises SourceError where git fails, with the way out in its hint.
    """

    def __init__(self, directory: Path | str = ".") -> None:
        self._repo = _open(Path(directory))

    @property
    def root(self) -> Path | None:
        """The working tree's top; None in a bare repository."""
        top = self._repo.working_tree_dir
        return Path(top) if top is not None else None

    def tags(self) -> list[str]:
        """Release tags, newest first by when they were made."""
        text = self._git("for-each-ref", "--sort=-creatordate", "--format=%(refname:strip=2)", "refs/tags")
        return [tag for tag in text.split("\n") if naming.parse_tag(tag) is not None]

    def resolve(self, text: str) -> Resolved:
        """`v1.2.0`, or a full release name `v1.2.0-abc1234`. Raises UsageError where no such tag is, Refused where the
        tag names another commit than the release name does."""
        if naming.parse_tag(text) is None and naming.parse_release(text) is None:
            raise UsageError(f"{naming.shortened(text)!r} is no release tag", hint=_TAG_FORM)
        commit = self._commit_of(text)
        if commit is not None:
            return self._resolved(text, commit)
        named = naming.parse_release(text)
        commit = self._commit_of(named.tag) if named is not None else None
        if named is None or commit is None:
            raise self._unknown(named.tag if named is not None and len(named.tag) < len(text) else text, text)
        if not commit.startswith(named.commit):
            raise Refused(
                f"the tag {named.tag} names commit {commit[:7]}, and not {named.sha7}",
                hint=f"deploy {named.tag}-{commit[:7]}, or find out who moved the tag: git log -1 {named.sha7}",
            )
        return self._resolved(named.tag, commit)

    def export(self, commit: str, into: Path) -> None:
        """Writes exactly the tree of `commit` into the empty or missing folder `into`, whatever is checked out.

        As a checkout would write it: export-ignore takes nothing out of it, and Git LFS files arrive as what they stand
        for where git-lfs is installed. Raises SourceError for submodules and for LFS pointers that stayed pointers.
        """
        self._refuse_submodules(self._git("ls-tree", "-r", "-z", "--full-tree", commit).split("\0"))
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            # An index and a work tree of its own: git checks every path, and the user's checkout plays no part.
            own = {"GIT_INDEX_FILE": str(Path(scratch) / "index"), "GIT_WORK_TREE": str(into.resolve())}
            own["GIT_DIR"] = str(Path(self._repo.git_dir).resolve())
            self._git("rev-parse", "--git-dir")  # the ownership check, which an explicit GIT_DIR would skip
            self._git("read-tree", commit, env=own)
            self._git("-c", "core.autocrlf=false", "checkout-index", "--all", "--force", env=own)
        tree.settle(into, float(self._git("log", "-1", "--format=%ct", commit)))
        tree.refuse_pointers(into)

    def read(self, commit: str, path: str) -> str | None:
        """The text of a file as `commit` holds it; None where it holds none. Raises SourceError where it is no text."""
        try:
            text = self._git("show", f"{commit}:{path}")
            text.encode()  # GitPython lets through what is no UTF-8, as lone surrogates
        except UnicodeEncodeError as error:
            raise SourceError(f"{path} of {commit[:7]} is no UTF-8 text", hint="save it as UTF-8") from error
        except SourceError as error:
            if error.context.get("status") == 128 and not self._git("ls-tree", "--full-tree", commit, "--", path):
                return None
            raise
        return text

    def snapshot(self, into: Path) -> Resolved:
        """Copies the working tree into `into`: tracked files as they are now and new ones that git does not ignore.
        The release is named after the newest tag behind HEAD and the digest of the content."""
        root = self.root
        head = self._commit_of_ref("HEAD")
        if root is None or head is None:
            raise SourceError(
                "a snapshot needs a working tree with at least one commit", hint="git commit, or deploy a tag"
            )
        self._refuse_submodules(self._git("ls-files", "-s", "-z").split("\0"))
        listed = self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in sorted({name for name in listed if name}):
            tree.copy(root / name, into / name)
        into.mkdir(parents=True, exist_ok=True)
        tree.settle(into, float(self._git("log", "-1", "--format=%ct", head)))
        tree.refuse_pointers(into)
        tag = naming.snapshot_tag(self._version_behind(), tree.digest(into))
        return Resolved(ReleaseName(tag, head), head, self._origin(), snapshot=True)

    def _resolved(self, tag: str, commit: str) -> Resolved:
        return Resolved(ReleaseName(tag, commit), commit, self._origin())

    def _commit_of(self, tag: str) -> str | None:
        return self._commit_of_ref(f"refs/tags/{tag}")

    def _commit_of_ref(self, ref: str) -> str | None:
        try:
            return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except SourceError as error:
            if error.context.get("status") == 1:  # --quiet: no such name, and git itself is well
                return None
            raise

    def _origin(self) -> str:
        try:
            return public_url(self._git("config", "--get", "remote.origin.url"))
        except SourceError as error:
            if error.context.get("status") == 1:
                return ""
            raise

    def _version_behind(self) -> naming.Version:
        try:
            nearest = self._git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD")
        except SourceError:
            nearest = ""  # no tag yet
        return naming.parse_tag(nearest) or naming.Version(0, 0, 0)

    def _unknown(self, tag: str, text: str) -> UsageError:
        tags = self.tags()
        near = difflib.get_close_matches(text, tags, n=3)
        shown = near + [tag for tag in tags if tag not in near][: 5 - len(near)]
        shallow = self._git("rev-parse", "--is-shallow-repository") == "true"
        fetch = f"git fetch origin tag {tag}" if self._origin() or shallow else f"git tag -a {tag} && git push --tags"
        why = " (this clone is shallow, and holds only the tags it was made with)" if shallow else ""
        have = f"here are: {', '.join(shown)}" if shown else "there is no release tag at all"
        return UsageError(f"no tag {text} in this repository{why}; {have}", hint=f"{_TAG_FORM}; to get it: {fetch}")

    def _refuse_submodules(self, entries: list[str]) -> None:
        for entry in entries:
            if entry.startswith("160000 "):
                name = entry.partition("\t")[2]
                raise SourceError(
                    f"{name} is a submodule, which an export of this commit does not hold",
                    hint="vendor it (git subtree add), or install it in the Dockerfile at a pinned version",
                )

    def _git(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        from git.exc import GitCommandError, GitCommandNotFound

        try:
            return str(self._repo.git.execute(["git", *arguments], env=env, strip_newline_in_stdout=True))
        except GitCommandNotFound as error:
            raise SourceError("git is not installed", hint="apt-get install git") from error
        except GitCommandError as error:
            raise _mapped(error.stderr, error.status, arguments, self._repo.git_dir) from error


def public_url(url: str) -> str:
    """The address of a remote without user, password or query; `git@host:team/app.git` becomes https. Empty for a path,
    and for what is no address."""
    scp = re.match(r"^(?:[^@/]+@)?([\w.-]+):(?!//)(.+)$", url)
    if scp is not None:
        url = f"https://{scp[1]}/{scp[2].lstrip('/')}"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # git would not get far with it either
        return ""
    if parts.scheme not in ("http", "https", "ssh", "git"):
        return ""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, host + port, parts.path.removesuffix(".git"), "", ""))


def _open(directory: Path) -> Repo:
    try:
        import git
    except ImportError as error:  # GitPython looks for the git command as it is imported
        raise SourceError("git is not installed, or not in PATH", hint="sudo apt install git") from error

    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        os.environ.pop(name, None)  # set inside git hooks, where they would point every call at another repository
    try:
        return git.Repo(directory, search_parent_directories=True)
    except git.NoSuchPathError as error:
        raise SourceError(f"no directory {directory}", hint="run this inside the service's repository") from error
    except git.InvalidGitRepositoryError as error:
        hint = "run this inside the service's repository, or start one: git init && git add . && git commit"
        raise SourceError(f"{directory.absolute()} is in no git repository", hint=hint) from error
    except (git.GitCommandError, OSError) as error:
        raise _mapped(str(error), None, ("open",), directory) from error


def _mapped(stderr: str, status: object, arguments: tuple[str, ...], place: object) -> SourceError:
    text = " ".join(str(stderr).replace("stderr:", "").strip(" '\n").split())
    hint = "run the same in a terminal to see all of it"
    if "dubious ownership" in text:
        text = f"git does not trust {place}: it belongs to another user"
        hint = f"if you do: git config --global --add safe.directory {Path(str(place)).parent}"
    elif "No space left" in text:
        hint = "free some disk space (release prune)"
    elif "lfs" in text.lower():
        hint = "git lfs install && git lfs pull"
    command = next((word for word in arguments if word.islower() and word[0].isalpha() and "=" not in word), "")
    return SourceError(f"git {command} failed: {text}"[:600], hint=hint, status=status)
