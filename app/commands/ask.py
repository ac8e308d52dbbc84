"""`homebody ask`: one question, its answer as it is written, and where each sentence of it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.batch import BatchOption, run_batch
from app.console import Console, Progress, Styled, bold, dim
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, WrongUsage, chosen_device

if TYPE_CHECKING:
    import threading

    from pipelines.home import Home
    from pipelines.turn import Answer, Attachment, CheckedSentence, Citation, Turn

FROM_STDIN = "-"


def ask(
    context: typer.Context,
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help="In plain words.")] = None,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="PATH", help="Talk about this file too; again for more; `-`: standard input."),
    ] = None,
    no_library: Annotated[bool, typer.Option("--no-library", help="Look at the files given only.")] = False,
    model: Annotated[str, typer.Option("--model", metavar="ID", help="Another chat model, or a GGUF file.")] = "",
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, max=32_768, help="Longest answer, in tokens.")
    ] = None,
    batch: BatchOption = None,
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Answer a question from your files, with sources.

    Sentences that nothing in your files supports are listed as such. Text on standard input is something to talk
    about. The conversation is kept (`homebody chats`); those of --batch are not.

    \b
    Examples:
      homebody ask "When does the lease end?"
      git diff | homebody ask "What changed?"
      homebody ask --file report.pdf --no-library "What are the risks?"
      homebody ask --batch questions.txt > answers.jsonl
    """
    from pipelines.turn import Turn

    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    if batch is None and (question is None or not question.strip()):
        raise WrongUsage('say what to ask: `homebody ask "QUESTION"`')
    attachments = _attachments(file or [], invocation, stdin_is_taken=batch == FROM_STDIN)
    with invocation.home(write=True, chat_model=model) as home:
        turn = Turn(
            question or "",
            attachments=attachments,
            use_library=not no_library,
            max_tokens=max_tokens,
            save=batch is None and not home.read_only_because,
        )
        if batch is not None:
            run_batch(batch, lambda line: _answer_quietly(home, turn, line, invocation), invocation)
            return
        if home.read_only_because:
            invocation.console.say(f"this conversation is not saved: {home.read_only_because}")
        with invocation.stoppable() as stop:
            answer = _follow(home, turn, stop, invocation.console, stream=not json)
        if json:
            answer = _placed(home, answer)
    if json:
        invocation.console.json(answer.to_json())
    else:
        _print_sources(answer, invocation.console)
    if stop.is_set():
        invocation.console.say("stopped")
        raise typer.Exit(ExitCode.INTERRUPTED)


def _attachments(files: list[str], invocation: Invocation, *, stdin_is_taken: bool) -> tuple[Attachment, ...]:
    """The files named, and what stands on standard input. Raises FileNotUsable."""
    from app.standard_input import FIRST_BYTE_WAIT_S, NAME, read_text
    from pipelines.attachments import read_attachment
    from pipelines.turn import Attachment

    found = [read_attachment(Path(each)) for each in files if each != FROM_STDIN]
    if stdin_is_taken:
        return tuple(found)
    wait_s = None if FROM_STDIN in files else FIRST_BYTE_WAIT_S
    text = read_text(invocation.stdin, wait_s=wait_s)
    if text is None:
        invocation.console.say(
            "nothing came on standard input, so it is left out",
            "`--file -` waits for it as long as it takes; `</dev/null` says that nothing will come",
        )
    elif text:
        found.append(Attachment(NAME, text))
    return tuple(found)


def _answer_quietly(home: Home, turn: Turn, question: str, invocation: Invocation) -> dict[str, Any]:
    from dataclasses import replace

    from pipelines.events import AnswerDone

    with invocation.stoppable() as stop:
        for event in home.answer(replace(turn, question=question), stop):
            if isinstance(event, AnswerDone):
                return _placed(home, event.answer).to_json()
    raise AssertionError("the answer ended without AnswerDone")


def _placed(home: Home, answer: Answer) -> Answer:
    """The citations of PDF pages with their boxes: data asks for them, people read the page's number."""
    from dataclasses import replace

    return replace(answer, citations=home.pages.place_citations(answer.citations))


def _follow(home: Home, turn: Turn, stop: threading.Event, console: Console, *, stream: bool) -> Answer:
    """Show what happens: talk on standard error, the answer's words (`stream`) on standard output."""
    from app.wording import counted
    from pipelines.events import (
        AnswerDone,
        EngineLoading,
        Notice,
        PictureProgress,
        PromptBuilt,
        PromptProgress,
        Retrieved,
        TextDelta,
        TurnStarted,
    )

    progress = Progress(console.err)

    def doing(text: str) -> None:
        if console.err.can_redraw:
            progress.show(text, text)

    ends_with_newline = True
    for event in home.answer(turn, stop):
        match event:
            case TurnStarted():
                doing("searching your files")
            case EngineLoading(model_id=model_id):
                doing(f"loading {model_id}")
            case Retrieved(hits=hits):
                doing(f"{counted(len(hits), 'passage')} found")
            case PromptBuilt(prompt_tokens=tokens, passages_used=used):
                doing(f"reading {counted(used, 'passage')}, {counted(tokens, 'token')}")
            case PictureProgress(done_parts=done, total_parts=total):
                doing("looking at the picture" + (f", {done * 100 // total} %" if done else ""))
            case PromptProgress(done_tokens=done, total_tokens=total) if total:
                doing(f"reading {counted(total, 'token')}, {done * 100 // total} %")
            case TextDelta(text=text) if stream:
                progress.clear()
                console.out.words(text)
                ends_with_newline = text.endswith("\n")
            case Notice(text=text, hint=hint):
                progress.clear()
                console.say(text, hint)
            case AnswerDone(answer=answer):
                progress.clear()
                if not ends_with_newline:
                    console.out.line()
                return answer
    raise AssertionError("the answer ended without AnswerDone")


def _print_sources(answer: Answer, console: Console) -> None:
    supported = [each for each in answer.citations if each.supported]
    unsupported = [each for each in answer.sentences if not each.supported]
    out = console.out
    if supported:
        out.line()
        out.line(bold("Sources"))
        for cited in supported:
            _print_source(cited, console)
    if unsupported and not answer.found_nothing:
        out.line()
        out.line(bold("Seen by the model, and found nowhere in writing" if answer.pictures else "Not in your files"))
        for sentence in unsupported:
            _print_unsupported(answer, sentence, console)
    if answer.finish == "length":
        console.say("the answer was cut off at its longest", "ask for more with --max-tokens")
    if console.err.is_terminal:
        console.err.line(dim(_figures(answer)))


def _print_source(cited: Citation, console: Console) -> None:
    from app.wording import on_one_line, place

    where = place(cited.path, cited.locator, folder=os.fspath(Path.cwd()))
    console.out.line(f"[{cited.n}] ", Styled(where, "cyan"))
    if cited.quote.strip():
        quote = on_one_line(cited.quote, limit=2 * console.out.width)
        console.out.paragraph(f"“{quote}”", indent="    ", max_lines=3)


def _print_unsupported(answer: Answer, sentence: CheckedSentence, console: Console) -> None:
    from app.wording import on_one_line

    text = on_one_line(answer.text[sentence.start : sentence.end], limit=4 * console.out.width)
    console.out.paragraph(f"! {text}", indent="", style="yellow")
    if sentence.unsupported_terms:
        terms = ", ".join(on_one_line(each, limit=40) for each in sentence.unsupported_terms)
        console.out.paragraph(f"in no source: {terms}", indent="  ")


def _figures(answer: Answer) -> str:
    from app.wording import duration

    timings = answer.timings
    placed = answer.placement.get("chat")
    parts = [answer.model, placed.device if placed else ""]
    if timings.decode_tokens_per_s:
        parts.append(f"{timings.decode_tokens_per_s:.1f} tokens/s")
    parts += [f"first word after {duration(timings.ttft_s)}", f"{duration(timings.total_s)} in all"]
    return " · ".join(part for part in parts if part)
