"""`homebody look`: what is known of a picture, and an answer from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.console import Console, bold, dim
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, chosen_device

if TYPE_CHECKING:
    from pipelines.home import Home
    from pipelines.look import Look
    from pipelines.turn import Answer


def look(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photo, a scan, a screenshot, a drawing.")],
    question: Annotated[
        str, typer.Option("--ask", metavar="QUESTION", help="Answer this from what is seen on the picture.")
    ] = "",
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Say what a picture shows: the text on it, what it may show, its colours, when and where it was taken.

    An answer comes from the chat model, and rests on the description and the text alone: it has not seen the picture.

    \b
    Examples:
      homebody look receipt.jpg
      homebody look receipt.jpg --ask "What was the total?"
      homebody look --json scan.png | jq -r '.ocr[].text'
    """
    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    with invocation.home(write=False) as home, invocation.stoppable() as stop:
        seen = home.look(image, stop)
        answer = _answer(home, seen, question, invocation) if question.strip() else None
    if json:
        said: dict[str, Any] = seen.to_json()
        if answer is not None:
            citations = [each.to_json() for each in answer.citations]
            said |= {"answer": answer.text, "grounded": answer.grounded, "citations": citations, "model": answer.model}
        invocation.console.json(said)
    else:
        _print(seen, answer, invocation.console)
    if answer is not None and answer.finish == "stopped":
        raise typer.Exit(ExitCode.INTERRUPTED)


def _answer(home: Home, seen: Look, question: str, invocation: Invocation) -> Answer | None:
    from pipelines.events import AnswerDone, Notice
    from pipelines.turn import Turn

    turn = Turn(question, attachments=(seen.as_attachment(),), use_library=False, save=False)
    for event in home.answer(turn, invocation.stop):
        match event:
            case Notice(text=text, hint=hint):
                invocation.console.say(text, hint)
            case AnswerDone(answer=answer):
                return answer
            case _:
                pass
    return None


def _print(seen: Look, answer: Answer | None, console: Console) -> None:
    for note in seen.notes:
        console.say(note)
    if answer is not None:
        console.out.paragraph(answer.text)
        for citation in answer.citations:
            rests = "rests on" if citation.supported else "nothing says this; the nearest is"
            console.err.line(dim(f"{rests}: {' '.join(citation.quote.split())}"))
        return
    facts = seen.facts
    console.out.line(bold(f"{facts.format}, {facts.width_px} x {facts.height_px}"))
    console.out.paragraph(seen.caption)
    if seen.text:
        console.out.line()
        console.out.paragraph(seen.text)
