"""`release`: the entry point. Every error ends here as one clear message, its hint and its exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator, Sequence

import click

from release.cli import failure
from release.cli.group import Commands
from release.cli.settings import common
from release.errors import ReleaseError, Unusable

_HELP = """Take a model service from a git tag to live traffic, and back, without a lost request.

\b
  release deploy v1.2.0     build, check, switch, watch
  release rollback          the previous good release, at once
  release status            what serves, and what a rollback would take

Exit codes: 0 done; 1 refused by a check or the guard; 2 usage or manifest; 3 engine, proxy or registry not usable;
4 locked by another run; 5 undone after an interruption; 6 superseded by a rollback; 7 live but unobserved.
"""


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"release {version('release')}")
        context.exit()


@click.group(
    "release",
    cls=Commands,
    help=_HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@common
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def cli() -> None: ...


def run(arguments: Sequence[str]) -> int:
    """Runs one command and gives its exit code; nothing escapes."""
    wants = failure.Wants.of(arguments)
    try:
        with _one_document(wants):
            code = cli.main(args=list(arguments), prog_name="release", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return failure.usage(error, wants)
    except ReleaseError as error:
        return failure.known(error, wants)
    except (KeyboardInterrupt, click.Abort):
        return failure.stopped(wants)
    except (BrokenPipeError, SystemExit):  # click itself exits on a broken pipe, and on nothing else here
        return _reader_left()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return failure.unknown(error, wants)
        try:
            sys.stdout.flush()
        except OSError:
            _reader_left()  # it is the output itself; what waits for it is dropped, or fails once more at the exit
        full = Unusable("no space is left where something had to be written", hint="free some disk space")
        return failure.known(full, wants)
    except Exception as error:
        return failure.unknown(error, wants)


@contextlib.contextmanager
def _one_document(wants: failure.Wants) -> Iterator[None]:
    """With --json the text of --help and --version is a JSON document too: click writes it before a command begins."""
    if not (wants.json and wants.about):
        yield
        return
    heard = io.StringIO()
    try:
        with contextlib.redirect_stdout(heard):
            yield
    finally:
        click.echo(_as_document(heard.getvalue()), nl=False)


def _as_document(text: str) -> str:
    """What a command printed is a document already: `--reason --help` asks for no help."""
    import json

    name, _, version = text.rstrip().partition(" ")
    if name not in ("Usage:", "release"):
        return text
    told = {"help": text.rstrip()} if name == "Usage:" else {"version": version}
    return json.dumps({"ok": True, **told}, ensure_ascii=False, indent=2) + "\n"


def _reader_left() -> int:
    """`release history | head` is no error; nothing more is written, not even by the interpreter's own flush."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _open_what_is_closed() -> None:
    """Without stdin, stdout or stderr (`>&-`) the next file opened would take their number, and be written into."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def main() -> None:
    _open_what_is_closed()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
