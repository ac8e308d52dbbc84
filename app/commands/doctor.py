"""`homebody doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.console import Console, Progress, Styled, dim
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, chosen_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.console import StyleName
    from pipelines.checkup import Check, Subject, Terminal

STYLES: dict[str, StyleName] = {"ok": "green", "warn": "yellow", "fail": "red"}
NAME_COLUMNS = 17


def doctor(
    context: typer.Context,
    network: Annotated[
        bool, typer.Option("--network", help="Also index, search and ask, and list what reached for the network.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Carry out the remedies that homebody can, then check again.")
    ] = False,
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Check this installation and say what to do.

    Changes nothing, unless --fix is given: then what is derived is made anew, a damaged library file is replaced by a
    new one that keeps your conversations, and your files are indexed again. With --network the main job is done in a
    folder of its own, watched: nothing may try to leave this machine. Exit status 1 means that a check failed.

    \b
    Examples:
      homebody doctor
      homebody doctor --fix
      homebody doctor --network
      homebody doctor --json | jq '.placement'
    """
    from pipelines.doctor import report
    from pipelines.examination import subject_of

    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    console = invocation.console
    progress = Progress(console.err)
    if console.err.can_redraw:
        progress.show("looking", "looking at this machine")
    subject = subject_of(
        invocation.paths,
        device=invocation.device,
        terminal=_terminal(),
        environ=invocation.environ,
    )
    checks: list[Check] = []
    for check in _checks(subject, invocation, progress, network=network):
        progress.clear()
        checks.append(check)
        if not json:
            _print_check(check, console)
    if fix and _fixed(checks, subject, invocation, progress):
        checks = list(_checks(subject, invocation, progress, network=False))
        progress.clear()
        if not json:
            console.out.line()
            for check in checks:
                _print_check(check, console)
    found = report(subject, checks)
    if json:
        console.json(found.to_json())
    else:
        _print_placement(subject, console)
    if found.worst == "fail":
        raise typer.Exit(ExitCode.FAILED)


def _checks(subject: Subject, invocation: Invocation, progress: Progress, *, network: bool) -> Iterator[Check]:
    from pipelines.doctor import run_checks
    from pipelines.examination import check_main_job

    yield from run_checks(subject)
    if network:
        progress.show("main job", "indexing, searching and answering, watched")
        yield from check_main_job(
            invocation.paths,
            subject.settings,
            lambda paths, settings: invocation.opener(paths, settings, device=invocation.device, write=True),
        )


def _fixed(checks: list[Check], subject: Subject, invocation: Invocation, progress: Progress) -> bool:
    """Carry out what can be; returns whether there was something."""
    from pipelines.repair import carry_out, repairs_for

    repairs = repairs_for(checks)
    if not repairs:
        invocation.console.err.line("nothing to repair here that homebody could do by itself")
        return False
    for said in carry_out(
        repairs,
        invocation.paths,
        subject.settings,
        lambda: invocation.opener(invocation.paths, subject.settings, device=invocation.device, write=True),
        invocation.stop,
    ):
        progress.clear()
        invocation.console.err.line(f"fixed: {said}")
        progress.show("fixing", "repairing")
    progress.clear()
    return True


def _terminal() -> Terminal:
    from pipelines.checkup import Terminal

    return Terminal(
        interactive=sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty(),
        encoding=sys.stdout.encoding,
        columns=shutil.get_terminal_size().columns,
        name=os.environ.get("TERM", ""),
    )


def _print_check(check: Check, console: Console) -> None:
    from app.console import wrapped

    indent = " " * (6 + NAME_COLUMNS)
    first, *rest = wrapped(check.detail, console.out.width - len(indent)) or [""]
    console.out.line(Styled(f"{check.status:<6}", STYLES[check.status]), f"{check.name:<{NAME_COLUMNS}}", first)
    for line in rest:
        console.out.line(indent, line)
    if check.remedy:
        console.out.paragraph(f"→ {check.remedy}", indent=indent)
    console.out.flush()


def _print_placement(subject: Subject, console: Console) -> None:
    if not subject.placements:
        return
    console.out.line()
    for task, placement in subject.placements.items():
        console.out.line(dim(f"{task}: "), placement.device)
        console.out.paragraph(placement.reason, indent="  ")
