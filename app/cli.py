"""The command line: which commands there are, and how an error becomes a message and an exit status.

Each command lives in `app/commands/`, one family a file, and is a few lines over a pipeline. Nothing heavy is
imported before a command runs: `homebody --help` must be there at once.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from app.commands import ask, chats, doctor, index, look, models, search, transcribe
from app.exit_codes import ExitCode, exit_code_of
from app.invocation import Invocation
from app.options import DeviceOption, chosen_device
from pipelines.errors import EXPECTED_ERRORS

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_log = logging.getLogger(__name__)

HELP = """Ask your own files, offline, in the terminal.

Without a command homebody opens its screens. Nothing ever leaves this machine; only `models pull` connects, to fetch
weights.

\b
Examples:
  homebody                                  open the screens
  homebody index ~/Documents                read a folder into the library
  homebody ask "When does the lease end?"   one answer, with its sources
  git diff | homebody ask "What changed?"   ask about another program's words
"""

EPILOGUE = "HOMEBODY_HOME moves everything that homebody keeps. Exit status: 0 ok, 1 failed, 2 usage, 3 missing."

cli = typer.Typer(
    name="homebody",
    help=HELP,
    epilog=EPILOGUE,
    no_args_is_help=True,
    add_completion=False,  # its installer writes into the user's shell files, outside HOMEBODY_HOME
    rich_markup_mode=None,  # plain help: the same in a pipe, and rich stays unloaded
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"homebody {version('homebody')}")
        except PackageNotFoundError:  # run from a checkout that was never installed
            typer.echo("homebody (not installed)")
        raise typer.Exit


@cli.callback()
def _global_options(
    context: typer.Context,
    device: DeviceOption = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    chosen_device(context.obj, device)


cli.command(name="index")(index.index)
cli.command(name="search")(search.search)
cli.command(name="ask")(ask.ask)
cli.command(name="look")(look.look)
cli.command(name="transcribe")(transcribe.transcribe)
cli.add_typer(models.models)
cli.command(name="doctor")(doctor.doctor)
cli.add_typer(chats.chats)


def run(arguments: Sequence[str], invocation: Invocation | None = None) -> int:
    """Run one command line; returns the exit status. Whatever goes wrong becomes a message here."""
    invocation = invocation or Invocation.of_process()
    console = invocation.console
    try:
        status = _invoke(arguments, invocation)
        console.out.flush()
        console.err.flush()
    except KeyboardInterrupt:
        console.err.erase_line()
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return ExitCode.PIPE_CLOSED
    except EXPECTED_ERRORS as error:
        console.complain(str(error) or type(error).__name__, getattr(error, "hint", ""))
        return exit_code_of(error)
    except Exception as error:  # the outermost frame: anything else is a bug of ours
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            console.complain(f"cannot write: {error.strerror}", "free some space, then do it again")
            _give_up_output()
            return ExitCode.FAILED
        _log.exception("unexpected error")
        console.complain(
            f"unexpected {type(error).__name__}: {error}",
            f"this is a bug; the details are in {invocation.paths.log_file}",
        )
        return ExitCode.FAILED
    return status


def _invoke(arguments: Sequence[str], invocation: Invocation) -> int:
    command = get_command(cli)
    try:
        with command.make_context("homebody", list(arguments), obj=invocation) as context:
            command.invoke(context)
    except typer.Exit as ending:
        return ending.exit_code
    except typer.Abort as aborted:  # the end of input, or Ctrl-C, at a question
        raise KeyboardInterrupt from aborted
    except typer.TyperException as error:
        return _explain_usage(error, invocation)
    return ExitCode.OK


def _explain_usage(error: typer.TyperException, invocation: Invocation) -> int:
    context = getattr(error, "ctx", None)
    if not error.message or type(error).__name__ == "NoArgsIsHelpError":
        invocation.console.err.line(error.format_message())
        return ExitCode.USAGE
    hint = f"see `{context.command_path} --help`" if context is not None else ""
    invocation.console.complain(error.format_message(), hint)
    return ExitCode.USAGE if error.exit_code == ExitCode.USAGE else ExitCode.FAILED


def _give_up_output() -> None:
    """Nothing can be written there any more: let the interpreter's last flush go nowhere instead of complaining."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
    os.close(null)


__all__ = ["cli", "run"]
