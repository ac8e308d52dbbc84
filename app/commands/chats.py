"""`homebody chats`: the conversations that were kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.console import Console, bold, dim
from app.invocation import Invocation
from app.options import JsonOption, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.home import ConversationSummary, SavedTurn

chats = typer.Typer(
    name="chats",
    help="List, search, read, export and delete conversations.\n\nExample: homebody chats search boiler",
    no_args_is_help=True,
    rich_markup_mode=None,
)

IdArgument = Annotated[int, typer.Argument(metavar="ID", help="From `homebody chats list`.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most this many.")]


@chats.command(name="list")
def list_chats(context: typer.Context, limit: LimitOption = 50, json: JsonOption = False) -> None:
    """List conversations, the latest first.

    \b
    Example:
      homebody chats list --limit 5
    """
    invocation: Invocation = context.obj
    with invocation.home(write=False) as home:
        found = home.conversations.list(limit=limit)
    _print_summaries(found, invocation.console, json=json, nothing="no conversations yet")


@chats.command()
def search(
    context: typer.Context,
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Of a question or an answer.")],
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Find conversations by the words in them.

    \b
    Example:
      homebody chats search "boiler service"
    """
    invocation: Invocation = context.obj
    with invocation.home(write=False) as home:
        found = home.conversations.search(words, limit=limit)
    _print_summaries(found, invocation.console, json=json, nothing="no conversation has these words")


@chats.command()
def show(context: typer.Context, conversation_id: IdArgument, json: JsonOption = False) -> None:
    """Print one conversation.

    \b
    Example:
      homebody chats show 12
    """
    invocation: Invocation = context.obj
    console = invocation.console
    with invocation.home(write=False) as home:
        turns = home.conversations.turns(conversation_id)
        if json:
            console.json({"conversation_id": conversation_id, "turns": [_turn_as_json(each) for each in turns]})
        else:
            console.out.line(home.conversations.export_markdown(conversation_id).rstrip("\n"))


@chats.command()
def export(
    context: typer.Context,
    conversation_id: IdArgument,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it there, which must be new.")] = None,
) -> None:
    """Write one conversation as Markdown, with its sources.

    \b
    Example:
      homebody chats export 12 --to lease.md
    """
    from pipelines.errors import FileNotUsable

    invocation: Invocation = context.obj
    with invocation.home(write=False) as home:
        document = home.conversations.export_markdown(conversation_id)
    if to is None:
        invocation.console.out.line(document.rstrip("\n"))
        return
    try:
        with to.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(document)
    except FileExistsError as error:
        raise FileNotUsable(f"{to} exists already", hint="name a new file; nothing is written over") from error
    except OSError as error:
        raise FileNotUsable(f"{to} cannot be written ({error.strerror})", hint="name another place") from error
    invocation.console.say(f"wrote {to}")


@chats.command()
def delete(
    context: typer.Context,
    conversation_ids: Annotated[list[int], typer.Argument(metavar="ID...", help="From `homebody chats list`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Delete conversations for good.

    \b
    Example:
      homebody chats delete 12 13
    """
    invocation: Invocation = context.obj
    console = invocation.console
    with invocation.home(write=True) as home:
        for conversation_id in conversation_ids:
            turns = home.conversations.turns(conversation_id)
            if not yes and not _confirmed(conversation_id, turns, invocation):
                console.say(f"kept {conversation_id}")
                continue
            home.conversations.delete(conversation_id)
            console.say(f"deleted {conversation_id}")


def _confirmed(conversation_id: int, turns: Sequence[SavedTurn], invocation: Invocation) -> bool:
    from app.wording import counted, on_one_line

    if invocation.stdin is None or not invocation.stdin.isatty():
        raise WrongUsage("there is nobody to ask here: add --yes")
    first = on_one_line(turns[0].question, limit=50) if turns else "empty"
    return typer.confirm(f"Delete {conversation_id} ({first}; {counted(len(turns), 'turn')})?", err=True)


def _print_summaries(found: Sequence[ConversationSummary], console: Console, *, json: bool, nothing: str) -> None:
    from app.wording import counted, on_one_line, when

    if json:
        console.json(
            {
                "chats": [
                    {
                        "conversation_id": each.conversation_id,
                        "title": each.title,
                        "turns": each.turns,
                        "updated_at": _timestamp(each.updated_at_s),
                    }
                    for each in found
                ]
            }
        )
        return
    if not found:
        console.say(nothing)
        return
    digits = max(len(str(each.conversation_id)) for each in found)
    notes = [f"{counted(each.turns, 'turn')}, {when(each.updated_at_s)}" for each in found]
    title_width = max(20, console.out.width - digits - 4 - max(map(len, notes)))
    for each, note in zip(found, notes, strict=True):
        title = on_one_line(each.title, limit=title_width) or "untitled"
        console.out.line(dim(f"{each.conversation_id:>{digits}}  "), bold(f"{title:<{title_width}}"), dim(f"  {note}"))


def _turn_as_json(turn: SavedTurn) -> dict[str, Any]:
    return {
        "turn_id": turn.turn_id,
        "question": turn.question,
        "answer": turn.answer_text,
        "finish": turn.finish,
        "citations": [each.to_json() for each in turn.citations],
        "model": turn.model,
        "asked_at": _timestamp(turn.asked_at_s),
    }


def _timestamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().isoformat(timespec="seconds")
