"""Bearer tokens in a file, hashed: `python -m modelhost.http.tokens add NAME ROLE` prints a new one, once.

One JSON line each: id, name, role, salt and the scrypt hash of the secret. A token is `mh_<id>_<secret>`: the id finds
the line, the secret (256 random bits) is compared in constant time. The file is read again when it changes. Where it
cannot be read nobody is let in, and no token that was good before: to take the file away takes all tokens away.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from modelhost.errors import ConfigError, Conflict, ModelHostError, Unavailable, Unknown
from modelhost.http.roles import Caller, Role

PREFIX = "mh"
DEFAULT_FILE = "tokens.jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}  # 16 MiB and about 40 ms
_REMEMBERED = 1024
_RETRY_SECONDS = 10.0
_log = logging.getLogger(__name__)
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One token as the file holds it; nothing in it opens a door."""

    id: str
    name: str
    role: str
    salt: str
    hash: str
    created: str


class Tokens:
    """The tokens of a file. A token that was verified once costs a hash afterwards, until the file changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None = None
        self._lines: dict[str, TokenLine] = {}
        self._verified: dict[bytes, Caller] = {}
        self._key = secrets.token_bytes(32)
        self._failure = ""
        self._lock = threading.Lock()

    def caller(self, token: str) -> Caller | None:
        """Whom a token belongs to, None for one that nobody has. Takes 40 ms for one that was not seen before.

        Raises Unavailable where the file cannot be read.
        """
        seen = hmac.digest(self._key, token.encode("utf-8", "surrogatepass"), "sha256")
        with self._lock:
            self._read()
            if (caller := self._verified.get(seen)) is not None:
                return caller
            stamp, line = self._stamp, self._lines.get(_id(token))
        if line is None or not hmac.compare_digest(_hash(token, line.salt), line.hash):
            return None
        caller = Caller(line.name, Role.named(line.role))
        with self._lock:
            if stamp == self._stamp:  # else the token may have been taken away meanwhile
                if len(self._verified) >= _REMEMBERED:
                    self._verified.clear()
                self._verified[seen] = caller
        return caller

    def demand(self) -> None:
        """Raises ConfigError, which says how to make the file, where it cannot be read."""
        with self._lock:
            self._take()

    def _read(self) -> None:
        try:
            self._take()
            self._failure = ""
        except ConfigError as error:
            self._stamp, self._lines = None, {}
            self._verified.clear()
            if str(error) != self._failure:  # once, and not for each request
                self._failure = str(error)
                _log.error("nobody is let in: %s", error)
            raise Unavailable(
                f"{self.path.name}, the tokens of this service, cannot be read: nobody can be known",
                "its operator mends the file, or names another and reloads by SIGHUP; the log says more",
                _RETRY_SECONDS,
            ) from error

    def _take(self) -> None:
        try:
            status = self.path.stat()
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if stamp == self._stamp:
                return
            lines = {line.id: line for line in _parsed(self.path.read_text("utf-8"), self.path)}
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            roles = ", ".join(map(str, Role))
            raise ConfigError(
                f"http.tokens: {self.path} cannot be read: {why}",
                f"`python -m modelhost.http.tokens --file {self.path} add NAME ROLE` makes it (roles: {roles}); "
                "without the key `http.tokens` there are no tokens, and nobody operates",
            ) from error
        self._stamp, self._lines = stamp, lines
        self._verified.clear()


def add(path: Path, name: str, role: Role) -> str:
    """Adds a token for a person or a program and returns it; it is nowhere else. Raises Conflict for a name taken."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a token", "letters, digits and . _ - @, at most 64")
    token = f"{PREFIX}_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
    salt = secrets.token_hex(16)
    line = TokenLine(
        _id(token), name, str(role), salt, _hash(token, salt), datetime.now(UTC).isoformat(timespec="seconds")
    )
    with _Locked(path) as lines:
        if any(each.name == name for each in lines):
            raise Conflict(f"{name} has a token already", "remove it first, or choose another name")
        _write(path, [*lines, line])
    return token


def remove(path: Path, name: str) -> None:
    """Takes a token away; running services notice at their next request. Raises Unknown."""
    with _Locked(path) as lines:
        if all(each.name != name for each in lines):
            raise Unknown(f"{name} has no token", f"these have: {', '.join(each.name for each in lines) or 'nobody'}")
        _write(path, [each for each in lines if each.name != name])


def listed(path: Path) -> list[TokenLine]:
    """All tokens of a file, none where there is no file."""
    try:
        return list(_parsed(path.read_text("utf-8"), path))
    except FileNotFoundError:
        return []


class _Locked:
    """Two people who change the file do it one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def __enter__(self) -> list[TokenLine]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_name(f".{self._path.name}.lock")
        self._handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        return listed(self._path)

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def _write(path: Path, lines: Iterable[TokenLine]) -> None:
    """As a whole: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(line)) + "\n" for line in lines)
        file.flush()
        os.fsync(handle)
    temporary.replace(path)


def _parsed(text: str, path: Path) -> Iterable[TokenLine]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            parsed = TokenLine(**json.loads(line))
            Role.named(parsed.role)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}, line {number} is no token: {error}", "remove it, and add one anew") from error
        yield parsed


def is_ours(token: str) -> bool:
    """Whether it is written as our tokens are, whoever has it; what else callers and proxies send is not for us."""
    return token.startswith(f"{PREFIX}_")


def _id(token: str) -> str:
    parts = token.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX else ""


def _hash(token: str, salt: str) -> str:
    secret = token.encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.scrypt(secret, salt=bytes.fromhex(salt), **_SCRYPT)).decode()


def _role(text: str) -> Role:
    try:
        return Role.named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints a token once, and never again."""
    parser = argparse.ArgumentParser(prog="python -m modelhost.http.tokens", description="Tokens of a service.")
    parser.add_argument("--file", type=Path, default=Path(DEFAULT_FILE), help="the file that `http.tokens` names")
    verbs = parser.add_subparsers(dest="verb", required=True)
    adding = verbs.add_parser("add", help="add a token and print it, once")
    adding.add_argument("name")
    adding.add_argument("role", type=_role, help="viewer, operator or admin")
    removing = verbs.add_parser("remove", help="take a token away")
    removing.add_argument("name")
    verbs.add_parser("list", help="who has a token, and with which role")
    asked = parser.parse_args(arguments)
    try:
        if asked.verb == "add":
            print(add(asked.file, asked.name, asked.role))
        elif not asked.file.exists():
            raise Unknown(f"{asked.file} is not there", "name the file with --file, or make it with `add`")
        elif asked.verb == "remove":
            remove(asked.file, asked.name)
        else:
            for line in listed(asked.file):
                print(f"{line.name}\t{line.role}\t{line.created}")
    except (ModelHostError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
