"""The command line. Commands import what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

import sys

import click

from mmconvert.cli.convert import convert
from mmconvert.cli.demo import demo
from mmconvert.cli.formats import formats
from mmconvert.cli.inspect import inspect
from mmconvert.cli.run import run
from mmconvert.cli.verify import verify
from mmconvert.errors import MMConvertError
from mmconvert.version import VERSION

COMMANDS = {c.name: c for c in (convert, verify, inspect, run, formats, demo)}


class Commands(click.Group):
    """A group whose default command is ``convert``: ``mmconvert model.keras model.tflite``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts ``convert`` before arguments that begin with no command."""
        own = {"--help", "-h", "--version"}
        if args and args[0] not in own and args[0] not in self.commands and _is_conversion(args[0]):
            args = ["convert", *args]
        return super().parse_args(ctx, args)


def _is_conversion(first: str) -> bool:
    """A file or an option of ``convert`` comes first; a bare word is a command that does not exist."""
    return first.startswith("-") or "." in first or "/" in first


@click.group(
    cls=Commands,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done and equivalent, 1 not equivalent, 2 usage, 3 unsupported, 4 invalid model, "
    "5 runtime missing, 6 download failed.",
)
@click.version_option(VERSION, prog_name="mmconvert")
def cli() -> None:
    """Move trained neural networks between frameworks, and prove the result.

    \b
    mmconvert model.keras model.tflite       convert and verify
    mmconvert verify model.keras model.onnx  compare two files
    """


def main() -> None:
    """Runs the command line and exits with the documented code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MMConvertError as error:
        _report(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; nothing was written under the target's name", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: MMConvertError) -> None:
    """The error as text on stderr; with ``--json`` as a document on stdout as well."""
    if "--json" in sys.argv:
        import json

        document = {"error": type(error).__name__, "message": error.message, "where": error.where, "hint": error.hint}
        problems = getattr(error, "problems", ())
        document |= {"problems": [{"what": p.what, "where": p.where, "hint": p.hint} for p in problems]}
        click.echo(json.dumps(document, indent=2))
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error}", err=True)
