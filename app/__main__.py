"""Where the program starts: `homebody` or `python -m app`.

Without arguments the terminal UI opens, by the shortest way: the first frame waits for what is imported here. With
arguments the command line takes over. Before either the process is made to stay at home (`pipelines.offline_guard`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.home import Home

NO_TERMINAL = """\
homebody: there is no terminal here that its screens could open on
  from scripts and pipes, ask on the command line:
    homebody ask "When does the lease end?"
    git diff | homebody ask "What changed?"
  all commands: homebody --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run homebody; returns the exit status (`app.exit_codes`)."""
    _occupy_closed_descriptors()
    try:
        from pipelines import offline_guard

        offline_guard.install()
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 130  # as ExitCode.INTERRUPTED, which may not be imported yet
    finally:
        _end_quietly()


def _run(arguments: Sequence[str]) -> int:
    if arguments:
        from app.cli import run
        from app.invocation import Invocation

        invocation = Invocation.of_process()
        if not {"--help", "-h", "--version"} & set(arguments):  # they log nothing
            from pipelines import log_file

            log_file.start(invocation.paths)
        return run(arguments, invocation)
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)) or os.environ.get("TERM") == "dumb":
        if sys.stderr is not None:
            sys.stderr.write(NO_TERMINAL)
        return 2
    from app.homebody_app import run_app

    return run_app(open_home)


def open_home() -> Home:
    """The user's Home. Called off the UI's thread, once its first frame is drawn.

    Raises EXPECTED_ERRORS.
    """
    from pipelines import log_file, settings_file
    from pipelines.factory import open_home
    from pipelines.paths import HomePaths

    paths = HomePaths.from_environment()
    log_file.start(paths)
    return open_home(paths, settings_file.load(paths.settings_file))


def _occupy_closed_descriptors() -> None:
    """No file opened later may get the number of a standard stream that was closed before the start.

    Whatever is printed there would be written into that file: into the library, if bad luck will have it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _is_terminal(stream: object) -> bool:
    """Standard streams are None when they were closed before the start."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def _end_quietly() -> None:
    """Ctrl-C while the interpreter takes itself apart ends it at once, without a traceback."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
