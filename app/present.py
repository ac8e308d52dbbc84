"""Turns what pipelines say into what the terminal shows. Pure: values in, text and Content out.

Everything that came from a file, a model or an error is cleaned here, and nowhere is markup read from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual.content import Content, Span

from app.marks import UNSUPPORTED_CLOSE, UNSUPPORTED_OPEN, citation, without_marks
from app.messages import Failure
from app.sentence_marks import leading_markup_length, marked_position
from app.terminal_text import TerminalTextFilter, clean, clean_line
from app.wording import counted, duration, on_one_line, place_within, short_path, size, when
from pipelines.events import (
    AnswerEvent,
    EngineLoading,
    IndexProgress,
    IndexReport,
    Notice,
    PictureProgress,
    PromptBuilt,
    PromptProgress,
    Retrieved,
    TurnStarted,
)
from pipelines.turn import CheckedSentence, Citation, Hit, Timings

if TYPE_CHECKING:  # the settings behind it take a third of a second to import
    from pipelines.home import ConversationSummary, DocumentRow, EnginesStatus, LibraryStatus

MAX_QUOTE_CHARS = 160
"""A source's row shows this much of its quote; the source screen shows all of it."""

MAX_HIT_CHARS = 400

ENDINGS = {
    "length": "cut off at the longest answer allowed",
    "stopped": "stopped by you",
    "failed": "this answer failed",
    "interrupted": "homebody ended in the middle of this answer",
}
"""How an answer ended, where it did not end by itself."""


def failure_of(error: Exception) -> Failure:
    """An expected error in words; its `hint` says what the user can do."""
    return Failure(clean(str(error)) or type(error).__name__, clean(str(getattr(error, "hint", ""))))


# --- one answer ---


def phase(event: AnswerEvent) -> str | None:
    """What homebody is doing, in a few words; None when the event says nothing about that."""
    match event:
        case TurnStarted():
            return "Searching your files"
        case EngineLoading(model_id=model_id, task=task):
            return clean_line(f"Loading {model_id} for {task}")
        case Retrieved(hits=hits, seconds=seconds):
            if not hits:
                return "Nothing fitting in your files"
            return f"Found {counted(len(hits), 'passage')} in {seconds:.2f} s"
        case PromptBuilt() as built:
            left_out = ""
            if built.passages_left_out:
                left_out = f", {counted(built.passages_left_out, 'passage')} left out to stay quick"
            return f"Reading {counted(built.passages_used, 'passage')}{left_out}"
        case PictureProgress(done_parts=done, total_parts=total):
            return "Looking at the picture" + (f" · {done * 100 // total} %" if done else "")
        case PromptProgress(done_tokens=done, total_tokens=total):
            share = f" · {done * 100 // total} %" if total else ""
            return f"Reading {counted(total, 'token')}{share}"
        case _:
            return None


def annotated_markdown(text: str, sentences: Sequence[CheckedSentence]) -> str:
    """The answer as Markdown with our marks: citations behind each sentence, unsupported ones enclosed.

    The spans in `sentences` are of `text` as the model wrote it; cleaning may change its length, so it is
    cleaned piece by piece with one filter, which gives the same as cleaning the whole.
    """
    insertions = sorted(_insertions(text, sentences), key=lambda each: (each[0], each[1]))
    filter_ = TerminalTextFilter()
    pieces: list[str] = []
    position = 0
    for at, _, mark in insertions:
        pieces += (without_marks(filter_.feed(text[position:at])), mark)
        position = at
    pieces.append(without_marks(filter_.feed(text[position:])))
    return "".join(pieces)


def _insertions(text: str, sentences: Sequence[CheckedSentence]) -> Iterator[tuple[int, int, str]]:
    """Where each mark goes: (offset, order among those at the same offset, mark)."""
    for sentence in sentences:
        place = marked_position(text, sentence.start, sentence.end)
        if place is None:
            continue
        if sentence.supported:
            if sentence.citations:
                yield place.offset, 0, place.before + "".join(citation(n) for n in sentence.citations)
            continue
        reason = unsupported_reason(sentence)
        if place.can_enclose:
            start = sentence.start + leading_markup_length(text[sentence.start : sentence.end])
            yield start, 1, UNSUPPORTED_OPEN
            yield place.offset, 0, f"{place.before}({reason}){UNSUPPORTED_CLOSE}"
        else:
            yield place.offset, 0, f"{place.before}{UNSUPPORTED_OPEN}({reason}){UNSUPPORTED_CLOSE}"


def unsupported_reason(sentence: CheckedSentence) -> str:
    """Why a sentence is marked, naming the numbers and names that no source contains."""
    if not sentence.unsupported_terms:
        return "no source"
    terms = ", ".join(_literal(clean_line(term)) for term in sentence.unsupported_terms)
    return f"not in your files: {terms}"


def _literal(term: str) -> str:
    """A term that goes into Markdown as it is."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>|~!#&" else char for char in without_marks(term))


def answer_verdict(text: str, sentences: Sequence[CheckedSentence], *, found_nothing: bool) -> str:
    """One line on what the check found; empty when everything has a source, or when the answer itself says that the
    files don't."""
    if found_nothing:
        return ""
    unsupported = sum(not each.supported for each in sentences)
    if not unsupported or not text.strip():
        return ""
    if unsupported == 1:
        return "1 sentence has no source in your files; it is marked."
    return f"{unsupported} sentences have no source in your files; they are marked."


def answer_figures(model: str, timings: Timings) -> str:
    """The quiet line under an answer: model, speed, time."""
    parts = [clean_line(model)]
    if timings.decode_tokens_per_s > 0:
        parts.append(f"{timings.decode_tokens_per_s:.1f} tokens/s")
    parts.append(f"first word after {timings.ttft_s:.1f} s")
    parts.append(f"{timings.total_s:.1f} s in all")
    return " · ".join(part for part in parts if part)


def source_row(cited: Citation) -> Content:
    """One source under an answer: number, path, place, and how its passage begins."""
    where = place_within(cited.path, cited.locator)
    quote = on_one_line(cited.quote, limit=MAX_QUOTE_CHARS)
    head = f"[{cited.n}] "
    name = short_path(cited.path)
    place = f" · {clean_line(where)}" if where else ""
    plain = head + name + place
    spans = [
        Span(0, len(head), "$text-accent"),
        Span(len(head), len(head) + len(name), "bold" if cited.supported else "$text-muted"),
        Span(len(head) + len(name), len(plain), "$text-muted"),
    ]
    tail = f"  {quote}" if quote else ""
    if not cited.supported:
        tail = f"  nearest passage; it does not say this{tail}"
    spans.append(Span(len(plain), len(plain) + len(tail), "$text-muted italic"))
    return Content(plain + tail, spans=spans)


def hit_row(hit: Hit) -> Content:
    """One passage of a search: its place on one line, how it begins on the next."""
    where = place_within(hit.path, hit.chunk.locator)
    head = f"{hit.rank:>2}  "
    name = short_path(hit.path)
    place = f" · {clean_line(where)}" if where else ""
    text = on_one_line(hit.chunk.text, limit=MAX_HIT_CHARS)
    plain = head + name + place
    return Content(
        f"{plain}\n{' ' * len(head)}{text}",
        spans=[
            Span(0, len(head), "$text-accent"),
            Span(len(head), len(head) + len(name), "bold"),
            Span(len(head) + len(name), len(plain), "$text-muted"),
            Span(len(plain), len(plain) + 1 + len(head) + len(text), "$text-muted"),
        ],
    )


def copied_answer(text: str, citations: Sequence[Citation]) -> str:
    """What goes to the clipboard: the words, then the sources, all cleaned."""
    sources = "\n".join(_copied_source(each) for each in citations if each.supported)
    return clean(text).strip() + (f"\n\nSources:\n{sources}" if sources else "")


def _copied_source(cited: Citation) -> str:
    where = place_within(cited.path, cited.locator)
    return clean_line(f"[{cited.n}] {cited.path}" + (f", {where}" if where else ""))


# --- library, engines, conversations ---


def index_activity(event: IndexProgress) -> str:
    """What indexing is at, for the status bar, in two words."""
    if not event.total:
        return "indexing"
    return f"indexing {int(event.reached * 100 / event.total)} % ({event.phase})"


def index_report(report: IndexReport) -> str:
    parts = [counted(report.indexed, "file") + " read"]
    if report.unchanged:
        parts.append(f"{report.unchanged:,} unchanged")
    if report.removed:
        parts.append(f"{report.removed:,} removed")
    if report.failed:
        parts.append(f"{len(report.failed):,} could not be read")
    if report.unsupported:
        parts.append(f"{sum(report.unsupported.values()):,} of other kinds")
    ending = "Stopped" if report.stopped else "Up to date"
    return f"{ending}: {', '.join(parts)}, {counted(report.chunks, 'new passage')}, {duration(report.seconds)}"


def library_summary(status: LibraryStatus) -> str:
    if not status.documents:
        return "No files yet"
    parts = [counted(status.documents, "file"), counted(status.chunks, "passage")]
    if status.chunks_embedded < status.chunks:
        parts.append(f"{status.chunks_embedded:,} embedded")
    if status.failed:
        parts.append(f"{status.failed:,} could not be read")
    if status.unsupported:
        parts.append(f"{sum(status.unsupported.values()):,} of kinds that are not read")
    return " · ".join(parts)


KINDS_SHOWN = 6


def library_head(status: LibraryStatus) -> list[str]:
    """The library in a few lines: what it holds, where that comes from, and what it leaves alone."""
    lines = [library_summary(status)]
    roots = [
        short_path(root) + (f" ({clean_line(status.away[root])})" if root in status.away else "")
        for root in status.roots
    ]
    if roots:
        lines.append("   ".join(roots))
    if status.left_out:
        lines.append(f"Left out until they are added again: {', '.join(map(short_path, status.left_out))}")
    if status.unsupported:
        kinds = list(status.unsupported.items())
        shown = ", ".join(f"{count:,} {clean_line(kind)}" for kind, count in kinds[:KINDS_SHOWN])
        more = f", and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
        lines.append(f"Of kinds that are not read: {shown}{more}")
    return lines


STATE_SIGNS = {"found": "·", "words": "◐", "embedded": "●", "failed": "✗", "unsupported": "○"}
STATE_WORDS = {
    "found": "not read yet",
    "words": "found by words; meaning follows",
    "embedded": "",
    "failed": "could not be read",
    "unsupported": "not read",
}


def document_row(row: DocumentRow) -> Content:
    """One file of the library: a sign for its state, its path, and what is to be said about it."""
    sign = STATE_SIGNS[row.state]
    path = short_path(row.path)
    if row.state in ("failed", "unsupported"):
        note = clean_line(row.reason) or STATE_WORDS[row.state]
    elif row.state == "embedded":
        note = counted(row.chunk_count, "passage")
    else:
        note = STATE_WORDS[row.state]
    plain = f"{sign} {path}  {note}"
    signs = {"failed": "$text-error", "embedded": "$text-success", "unsupported": "$text-muted"}
    sign_style = signs.get(row.state, "$text-warning")
    note_style = "$text-error" if row.state == "failed" else "$text-muted"
    return Content(plain, spans=[Span(0, 1, sign_style), Span(len(plain) - len(note), len(plain), note_style)])


def document_facts(row: DocumentRow) -> Content:
    """One file of the library in a few lines, beside its picture."""
    name = clean_line(row.path.rpartition("/")[2])
    title = clean_line(row.title)
    facts = f"{row.kind} · {size(row.size_bytes)} · {counted(row.chunk_count, 'passage')}"
    pieces = [Content.styled(name, "bold"), Content.styled(facts, "$text-muted")]
    if title and title not in (name, name.rpartition(".")[0]):
        pieces.insert(1, Content(title))
    if row.reason:
        pieces.append(Content.styled(clean_line(row.reason), "$text-error"))
        pieces += [Content(clean_line(row.hint))] if row.hint else []
    return Content("\n").join(pieces)


def engine_label(engines: EnginesStatus) -> str:
    """For the status bar: model and device."""
    if not engines.chat_model:
        return "no chat model"
    placed = engines.placement.get("chat")
    device = f" · {clean_line(placed.device)}" if placed else ""
    return clean_line(engines.chat_model) + device


def missing_weights(engines: EnginesStatus) -> list[Failure]:
    return [_said(each) for each in engines.missing]


def notice(event: Notice) -> Failure:
    return _said(event)


def _said(event: Notice) -> Failure:
    return Failure(clean(event.text), clean(event.hint))


def conversation_row(conversation: ConversationSummary, *, now_s: float | None = None) -> Content:
    title = clean_line(conversation.title) or "Untitled"
    note = f"  {counted(conversation.turns, 'turn')} · {when(conversation.updated_at_s, now_s=now_s)}"
    return Content(title + note, spans=[Span(len(title), len(title) + len(note), "$text-muted")])


def title_of(question: str) -> str:
    """A conversation's title until the library has a better one: the question's first line."""
    first = next((line.strip() for line in question.splitlines() if line.strip()), "")
    shown = clean_line(first)
    return shown if len(shown) <= 60 else shown[:59].rstrip() + "…"
