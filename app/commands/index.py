"""`homebody index`: bring the library up to date with files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.console import Console, Progress, bar, dim
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, WrongUsage, chosen_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipelines.events import IndexEvent, IndexProgress, IndexReport
    from pipelines.home import Home

FAILURES_SHOWN = 20
KINDS_SHOWN = 12
"""Of those that no reader takes; the library screen shows every file."""


def index(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Files and folders; without any, those indexed before."),
    ] = None,
    reembed: Annotated[
        bool, typer.Option("--reembed", help="Make all vectors anew with the embedder at hand.")
    ] = False,
    embedder: Annotated[
        str,
        typer.Option("--embedder", metavar="ID", help="Change the embedder for good: an id, a GGUF file, a folder."),
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: follow all indexed folders and files until Ctrl-C.")
    ] = False,
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Read files and folders into the library.

    Files that did not change are skipped, changed ones are read again, and deleted ones leave the library. It can be
    stopped at any moment and goes on from there. Exit status 1 means that a PATH itself could not be read; files
    inside a folder that could not are listed.

    With --watch a changed file can be found by its words within a second, and ending it with Ctrl-C is exit status
    0. --watch --json prints one JSON object a line as things happen; "event" is one of following, changed, failed,
    notice and report.

    \b
    Examples:
      homebody index ~/Documents ~/notes.md
      homebody index                          bring everything up to date
      homebody index --watch                  and keep it so
      homebody index --embedder multilingual-e5-small-int8
    """
    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    if embedder:
        from pipelines.embedder_choice import choose_embedder

        choose_embedder(invocation.paths, embedder)
    invocation.give_way()
    with invocation.home(write=True) as home:
        if home.read_only_because:
            invocation.console.complain(
                f"cannot index: {home.read_only_because}", "wait until it is done, or close it, and do it again"
            )
            raise typer.Exit(ExitCode.FAILED)
        roots = [path.expanduser().absolute() for path in paths or ()] or [Path(root) for root in home.library().roots]
        if not roots:
            raise WrongUsage("nothing was indexed before, so say what to read: `homebody index PATH`")
        if watch:
            _watch(invocation, home, paths or (), reembed=reembed, json=json)
            return
        with invocation.stoppable() as stop:
            report = _follow(home.index(roots, stop, reembed=reembed, named=bool(paths)), invocation.console)
    if json:
        invocation.console.json(report.to_json())
    else:
        _print_report(report, invocation.console)
    if report.stopped:
        from app.wording import short_path

        again = f"{short_path(report.broken_off)} is read from its beginning then" if report.broken_off else ""
        invocation.console.say("stopped; run it again to go on from here", again)
        raise typer.Exit(ExitCode.INTERRUPTED)
    if {each.path for each in report.failed} & {str(root) for root in roots}:
        raise typer.Exit(ExitCode.FAILED)


def _watch(invocation: Invocation, home: Home, paths: Sequence[Path], *, reembed: bool, json: bool) -> None:
    from app.commands.index_watch import watch
    from app.wording import short_path

    if reembed:
        raise WrongUsage("--reembed and --watch do not go together: run `homebody index --reembed` first")
    roots = [path.expanduser().absolute() for path in paths]
    known = set(home.library().roots)
    for root in roots:
        if not root.exists() and str(root) not in known:
            invocation.console.complain(f"there is no {short_path(str(root))}", "check the name")
            raise typer.Exit(ExitCode.FAILED)
    with invocation.stoppable() as stop:
        watch(home, roots, stop, invocation.console, json=json)


def _follow(events: Iterator[IndexEvent], console: Console) -> IndexReport:
    from pipelines.events import IndexDone, IndexProgress, Notice

    progress = Progress(console.err)
    for event in events:
        match event:
            case IndexProgress():
                show_progress(progress, event, console)
            case Notice(text=text, hint=hint):
                progress.clear()
                console.say(text, hint)
            case IndexDone(report=report):
                progress.clear()
                return report
            case _:
                pass  # the report has them all
    raise AssertionError("indexing ended without a report")


def show_progress(progress: Progress, event: IndexProgress, console: Console) -> None:
    """One line: how far indexing is, and the file it is at where that can be drawn over."""
    from app.wording import index_progress, short_path

    drawn = f"{bar(event.reached, event.total)}  " if event.total else ""
    file = f" · {short_path(event.path)}" if event.path and console.err.can_redraw else ""
    progress.show(event.phase, f"{drawn}{index_progress(event)}{file}")


def _print_report(report: IndexReport, console: Console) -> None:
    from app.wording import index_report, short_path

    console.out.line(index_report(report))
    for each in report.failed[:FAILURES_SHOWN]:
        console.out.line("  ", short_path(each.path))
        console.out.paragraph(each.reason, indent="    ")
        if each.hint:
            console.out.paragraph(each.hint, indent="    ", style="dim")
    if len(report.failed) > FAILURES_SHOWN:
        console.out.line(dim(f"  and {len(report.failed) - FAILURES_SHOWN:,} more; `--json` lists them all"))
    if report.unsupported:
        kinds = list(report.unsupported.items())
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds[:KINDS_SHOWN])
        more = f", and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
        console.out.paragraph(f"of kinds that are not read: {shown}{more}", indent="  ", style="dim")
