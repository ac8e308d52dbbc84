"""`homebody search`: passages by words and meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.batch import BatchOption, run_batch
from app.console import Console, bold, dim
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, WrongUsage, chosen_device

if TYPE_CHECKING:
    from pipelines.events import SearchResult
    from pipelines.home import Home

LINES_A_HIT = 3


def search(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="Words, or a question.")] = None,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, max=1000, help="How many passages.")] = 10,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KINDS", help="Only these, with commas: text, image, pdf, mail, code, …")
    ] = "",
    like: Annotated[
        Path | None, typer.Option("--like", metavar="IMAGE", help="Find pictures that look like this one (needs CLIP).")
    ] = None,
    batch: BatchOption = None,
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Find passages by words and by meaning.

    In QUERY, kind:pdf after:2025-01 before:2025-06-30 in:~/notes author:anna name:invoice choose the files, "exact
    words" must be in the passage, -word must not. With filters alone the newest documents are listed. like:PATH is
    --like: with it, QUERY says more of what the pictures show.

    \b
    Examples:
      homebody search "notice period"
      homebody search "boiler kind:pdf after:2024 in:~/house -gas"
      homebody search --like bicycle.jpg
      homebody search "red in:~/photos" --like bicycle.jpg
      homebody search -k 3 --json "boiler service" | jq -r '.hits[].path'
      homebody search --batch questions.txt > hits.jsonl
    """
    from dataclasses import replace

    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    kinds = _kinds(kind)
    if batch is None and like is None and (query is None or not query.strip()):
        raise WrongUsage("say what to look for: `homebody search QUERY`, or `homebody search --like IMAGE`")
    with invocation.home(write=False) as home:
        if batch is not None:

            def find(line: str) -> dict[str, Any]:
                return home.search(line, k=k, kinds=kinds, like=like).to_json()

            run_batch(batch, find, invocation, asked="query")
            return
        result = home.search(query or "", k=k, kinds=kinds, like=like)
        for notice in result.notices:
            invocation.console.say(notice.text, notice.hint)
        if json:
            placed = replace(result, hits=home.pages.place_hits(result.hits))
            invocation.console.json(placed.to_json())
        else:
            _print_result(result, query or "", home, invocation.console)


def _kinds(named: str) -> frozenset[str] | None:
    from pipelines.query import KIND_NAMES, UnknownKind, kinds_named

    wanted = frozenset(each.strip() for each in named.split(",") if each.strip())
    try:
        kinds_named(sorted(wanted))
    except UnknownKind as error:
        raise WrongUsage(f"there is no kind {error}; known: {', '.join(KIND_NAMES)}") from error
    return wanted or None


def _print_result(result: SearchResult, query: str, home: Home, console: Console) -> None:
    from app.wording import counted, duration, from_where_it_says, place

    folder = os.fspath(Path.cwd())
    digits = len(str(len(result.hits)))
    for hit in result.hits:
        console.out.line(dim(f"{hit.rank:>{digits}}  "), bold(place(hit.path, hit.chunk.locator, folder=folder)))
        limit = LINES_A_HIT * (console.out.width - digits - 2)
        text = from_where_it_says(hit.chunk.text, query, limit=limit)
        console.out.paragraph(text, indent=" " * (digits + 2), max_lines=LINES_A_HIT)
        if hit.others:
            console.out.line(dim(f"{' ' * (digits + 2)}{counted(hit.others, 'other file')} the same"))
    if result.hits:
        console.err.line(dim(f"{counted(len(result.hits), 'passage')} in {duration(result.seconds)}"))
    elif home.library().documents:
        console.say("nothing found")
    else:
        console.say("the library is empty", "read a folder first: `homebody index PATH`")
