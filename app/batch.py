"""`--batch`: one question a line in, one JSON document a line out, engines loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from app.exit_codes import ExitCode
from pipelines.errors import EXPECTED_ERRORS, MISSING_ERRORS, FileNotUsable

if TYPE_CHECKING:
    from app.invocation import Invocation

BatchOption = Annotated[
    str | None,
    typer.Option(
        "--batch", metavar="FILE", help="One question a line (`-`: standard input); one JSON document a line comes out."
    ),
]


def run_batch(
    file: str, answer: Callable[[str], Mapping[str, Any]], invocation: Invocation, *, asked: str = "question"
) -> None:
    """Answer each line that is not blank. A line that fails gives `{"error", "hint"}`, and the rest goes on.

    Exits with 1 when a line failed. Missing weights end the batch: every line would fail alike.
    """
    failed = 0
    with _lines(file, invocation.stdin) as lines:
        for line in lines:
            if not (question := line.strip()):
                continue
            try:
                document = answer(question)
            except MISSING_ERRORS:
                raise
            except EXPECTED_ERRORS as error:
                failed += 1
                document = {"error": str(error), "hint": getattr(error, "hint", "")}
            invocation.console.json({asked: question, **document})
            if invocation.stop.is_set():
                raise KeyboardInterrupt
    if failed:
        invocation.console.say(f"{failed} of the lines failed; they have an `error`")
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _lines(file: str, stdin: TextIO | None) -> Iterator[Iterator[str]]:
    if file == "-":
        if stdin is None:
            raise FileNotUsable("standard input is closed", hint="name a file: `--batch FILE`")
        yield iter(stdin)
        return
    try:
        with Path(file).open(encoding="utf-8-sig", errors="replace") as stream:
            yield stream
    except OSError as error:
        raise FileNotUsable(f"{file} cannot be read ({error.strerror})", hint="check the name after --batch") from error
