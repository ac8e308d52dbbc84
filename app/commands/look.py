"""`homebody look`: what is known of a picture, and an answer from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.console import Console, bold, dim
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, WrongUsage, chosen_device

if TYPE_CHECKING:
    from pipelines.home import Home
    from pipelines.look import Look
    from pipelines.turn import Answer


def look(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photo, a scan, a screenshot, a drawing.")],
    question: Annotated[str, typer.Option("--ask", metavar="QUESTION", help="Answer this about the picture.")] = "",
    labels: Annotated[
        str, typer.Option("--labels", metavar="LABELS", help="Which of these does it show? With commas, or @FILE.")
    ] = "",
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Say what a picture shows: the text on it, what it may show, its colours, when and where it was taken.

    --labels needs a CLIP (homebody models pull --for clip); each label gets its probability among all and none of them.
    An answer comes from a model that sees the picture, where one is installed (homebody models pull --for vision), and
    otherwise from the chat model: then it rests on the description and the text alone. Of a TIFF with many pages such a
    model is shown the first four; the text is of all.

    \b
    Examples:
      homebody look receipt.jpg
      homebody look receipt.jpg --ask "What was the total?"
      homebody look pet.jpg --labels "a cat, a dog, a rabbit"
      homebody look pet.jpg --labels @breeds.txt
      homebody look --json scan.png | jq -r '.ocr[].text'
    """
    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    asked = _labels(labels)
    with invocation.home(write=False) as home, invocation.stoppable() as stop:
        seen = home.look(image, stop, labels=asked)
        answer = _answer(home, seen, question, invocation) if question.strip() else None
    if json:
        said: dict[str, Any] = seen.to_json()
        if answer is not None:
            citations = [each.to_json() for each in answer.citations]
            said |= {"answer": answer.text, "grounded": answer.grounded, "citations": citations, "model": answer.model}
            said["tier"] = "vision" if answer.pictures else "text"
        invocation.console.json(said)
    else:
        _print(seen, answer, invocation.console)
    if answer is not None and answer.finish == "stopped":
        raise typer.Exit(ExitCode.INTERRUPTED)


def _labels(named: str) -> tuple[str, ...]:
    """What follows --labels: with commas, or one a line of a file. Raises WrongUsage."""
    from pipelines.settings import MOST_LABEL_CHARS, MOST_LABELS

    if not named:
        return ()
    parts = named.split(",")
    if named.startswith("@"):
        try:
            parts = Path(named[1:]).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise WrongUsage(f"the labels in {named[1:]} cannot be read: {error}") from error
    labels = tuple(dict.fromkeys(each.strip() for each in parts if each.strip()))
    if not labels or len(labels) > MOST_LABELS or any(len(each) > MOST_LABEL_CHARS for each in labels):
        raise WrongUsage(f"--labels takes 1 to {MOST_LABELS} labels of at most {MOST_LABEL_CHARS} characters each")
    return labels


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
        if answer.pictures and not answer.grounded:
            console.err.line(dim(f"seen by {answer.model}; the text and the labels on it do not say all of this"))
        for citation in answer.citations:
            if answer.pictures and not citation.supported:
                continue
            rests = "rests on" if citation.supported else "nothing says this; the nearest is"
            console.err.line(dim(f"{rests}: {' '.join(citation.quote.split())}"))
        return
    facts = seen.facts
    console.out.line(bold(f"{facts.format}, {facts.width_px} x {facts.height_px}"))
    console.out.paragraph(seen.caption)
    for label in seen.compared:
        console.out.line(f"{label.score:>6.1%}  {label.name}")
    if seen.text:
        console.out.line()
        console.out.paragraph(seen.text)
