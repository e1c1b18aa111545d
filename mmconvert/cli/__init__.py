"""The command line. Commands import what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

import difflib
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import click

from mmconvert.cli import console
from mmconvert.cli.convert import convert
from mmconvert.cli.demo import demo
from mmconvert.cli.diff import diff
from mmconvert.cli.extract import extract
from mmconvert.cli.formats import formats
from mmconvert.cli.inspect import inspect
from mmconvert.cli.reduce import reduce
from mmconvert.cli.run import run
from mmconvert.cli.verify import verify
from mmconvert.errors import InternalError, MMConvertError, UnsupportedError
from mmconvert.version import VERSION

COMMANDS = {
    c.name: c for c in (convert, verify, inspect, run, extract, diff, reduce, formats, demo) if c.name
}

INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141
"""Exit codes of a process that a signal ended, as shells give them."""


class Commands(click.Group):
    """A group whose default command is ``convert``: ``mmconvert model.keras model.tflite``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts ``convert`` before arguments that begin with no command."""
        own = {"--help", "-h", "--version"}
        if args and args[0] not in own and args[0] not in self.commands and _is_conversion(args[0]):
            args = ["convert", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; a misspelled one is told from its likes."""
        if args[0] not in self.commands:
            close = difflib.get_close_matches(args[0], self.commands, 1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no command and no file {args[0]!r}.{guess}")
        return super().resolve_command(ctx, args)


def _is_conversion(first: str) -> bool:
    """A file or an option of ``convert`` comes first; a bare word is a command that does not exist."""
    return first.startswith("-") or "." in first or "/" in first or os.sep in first or Path(first).exists()


@click.group(
    cls=Commands,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 not equivalent, 2 usage, 3 unsupported operator or feature, "
    "4 invalid model, 5 a needed runtime is missing, 6 download failed, 70 a bug.",
)
@click.version_option(VERSION, prog_name="mmconvert")
def cli() -> None:
    """Convert trained neural networks between formats, and prove the result.

    \b
    mmconvert model.keras model.tflite       convert and verify
    mmconvert verify model.keras model.onnx  compare two files
    mmconvert demo                           see it work
    """


def main() -> NoReturn:
    """The ``mmconvert`` command: runs the command line and exits with the documented code."""
    # A command lives for a moment: looking for garbage among all its imports would take a twentieth of it.
    gc.set_threshold(200_000, 50, 100)
    arguments = sys.argv[1:]

    def report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, trace)
        _report_bug(error, as_json="--json" in arguments)

    # What no command expects is neither caught nor hidden: it reaches the interpreter, which calls this.
    sys.excepthook = report_bug
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # files half-written are taken away
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of layers may be in any script
    sys.exit(invoke(arguments))


def invoke(arguments: Sequence[str]) -> int:
    """Runs a command and reports its errors; returns the exit code.

    Raises:
        InternalError, Exception: a bug.
    """
    as_json = "--json" in arguments
    try:
        # Not cli.main(), which would give exit codes of its own to a closed pipe and to Ctrl-C.
        with cli.make_context("mmconvert", list(arguments)) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        if as_json:
            _print_error("UsageError", error.format_message(), error.exit_code)
        error.show()
        return error.exit_code
    except InternalError:
        raise
    except MMConvertError as error:
        if as_json:
            _print_error(type(error).__name__, error.message, error.exit_code, **_details(error))
        console.error(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        if as_json:
            _print_error("Interrupted", "interrupted", INTERRUPTED)
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code if isinstance(code, int) else 0


def _details(error: MMConvertError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, UnsupportedError) else ()
    return {
        "where": error.where,
        "hint": error.hint,
        "problems": [{"what": p.what, "where": list(p.where), "hint": p.hint} for p in problems],
    }


def _print_error(
    kind: str, message: str, code: int, where: str = "", hint: str = "", problems: Sequence[Any] = ()
) -> None:
    console.print_json(
        {
            "error": kind,
            "exit_code": code,
            "message": message,
            "where": where,
            "hint": hint,
            "problems": list(problems),
        }
    )


def _report_bug(error: BaseException, *, as_json: bool) -> NoReturn:
    if as_json:
        _print_error(type(error).__name__, str(error), InternalError.exit_code)
    console.error(
        f"this is a bug in mmconvert {VERSION}: please report it, with the lines above and the command"
    )
    sys.exit(InternalError.exit_code)
