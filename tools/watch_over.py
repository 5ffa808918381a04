"""Runs a command, and ends every process that it leaves behind: `tools/watch_over.py [--then SHELL-COMMAND] COMMAND…`.

Daemons detach themselves (nginx does), so this process declares itself the one that orphans fall back to
(PR_SET_CHILD_SUBREAPER): whatever the command started, however deep, becomes a child of this one, and no process of
anybody else's can be mistaken for it. Then comes the clean-up named by --then. The command's exit code is handed on,
and its last line stays the last line. Interrupted, it interrupts the command once and waits for it to tidy up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
GRACE = 10.0  # seconds between SIGTERM and SIGKILL for what was left behind
PATIENCE = 40  # seconds that an interrupted command may take to tidy up


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        print("watch_over: cannot adopt orphans; what is left behind stays", file=sys.stderr)


def descendants() -> dict[int, str]:
    """Process id and command line of everything below this process that still runs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold anything; state and parent follow the last one.
                state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found: dict[int, str] = {}
    wave = {os.getpid()}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave and pid not in found}
        found.update((pid, command_line(pid)) for pid in wave)
    return found


def command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = ""
    return words[:120] or "?"


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def send(number: int) -> None:
    for pid in descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def end_leftovers() -> list[str]:
    """Ends what is left, politely at first; returns the command lines of what it had to end."""
    time.sleep(0.2)  # what is just ending by itself is no leftover
    reap()
    left = sorted(descendants().values())
    deadline = time.monotonic() + GRACE
    send(signal.SIGTERM)
    while descendants() and time.monotonic() < deadline + GRACE:
        reap()
        time.sleep(0.1)
        if time.monotonic() > deadline:
            send(signal.SIGKILL)
    reap()
    return left


def run(command: list[str], afterwards: str | None) -> int:
    """Runs `command` with its standard output handed through; the exit code as a shell would give it."""
    # A session of its own: a signal meant for all of us reaches it once, in the form that lets it tidy up.
    # Where SIGINT is ignored, as in the background of a shell, the command would ignore it as well, and not hear of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.alarm(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)

    def give_up(_: int, __: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    signal.signal(signal.SIGALRM, give_up)
    last = hand_through(child)
    code = child.wait()
    signal.alarm(0)
    left = end_leftovers()
    if left:
        print("watch_over: left running by the command, and ended now:", *left, sep="\n  ", flush=True)
    if afterwards is not None:
        subprocess.run(["sh", "-c", afterwards], stdin=subprocess.DEVNULL, start_new_session=True)
    if left or afterwards is not None:
        print(last)
    if received:
        return 128 + received[0]
    return code if code >= 0 else 128 - code


def hand_through(child: subprocess.Popen[bytes]) -> str:
    """Copies the command's output until the command ends (a daemon may hold the pipe longer); returns its last line."""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    last = pending = b""
    while True:
        ended = child.poll() is not None
        while chunk := child.stdout.read(65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            *lines, pending = (pending + chunk).split(b"\n")
            last = next((line for line in reversed(lines) if line.strip()), last)
        if ended:
            return (pending if pending.strip() else last).decode(errors="replace")
        time.sleep(0.05)


def main(arguments: list[str]) -> int:
    afterwards = None
    if arguments[:1] == ["--then"]:
        afterwards, arguments = arguments[1] if len(arguments) > 1 else "", arguments[2:]
    if not arguments:
        print("usage: watch_over.py [--then SHELL-COMMAND] COMMAND…", file=sys.stderr)
        return 2
    adopt_orphans()
    return run(arguments, afterwards)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
