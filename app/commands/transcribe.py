"""`homebody transcribe`: what is said in a recording, as it is recognised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.console import Console, Progress, bar
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import DeviceOption, JsonOption, WrongUsage, chosen_device
from app.transcript_formats import VTT_HEADER, TranscriptFormat, cues, srt_cue, vtt_cue

if TYPE_CHECKING:
    from pipelines.events import Notice
    from pipelines.transcribe import SpeechSegment, TranscribeEvent, TranscribeProgress, TranscriptDone


def transcribe(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sound file, or a film for its sound.")],
    format: Annotated[  # noqa: A002  # the option's name
        TranscriptFormat, typer.Option("--format", help="txt, srt and vtt (subtitles), or json.")
    ] = "txt",
    json: JsonOption = False,
    device: DeviceOption = None,
) -> None:
    """Write down what is said in a recording.

    Text comes as it is recognised, subtitles too; JSON when all is done. A recording of hours may be stopped at any
    moment: the same command goes on from there.

    \b
    Examples:
      homebody transcribe memo.m4a
      homebody transcribe --format srt film.mp4 > film.srt
      homebody transcribe --json meeting.mp3 | jq -r '.segments[].text'
    """
    invocation: Invocation = context.obj
    chosen_device(invocation, device)
    if json and format not in ("txt", "json"):
        raise WrongUsage(f"--json and --format {format} do not go together")
    wanted: TranscriptFormat = "json" if json else format
    path = file.expanduser().absolute()
    with invocation.home(write=False) as home, invocation.stoppable() as stop:
        events = home.transcribe(path, stop, exact_words=wanted in ("srt", "vtt"))
        done = _write(events, path, wanted, invocation.console)
    if done.stopped:
        invocation.console.say("stopped; run it again to go on from here")
        raise typer.Exit(ExitCode.INTERRUPTED)


def _write(
    events: Iterator[TranscribeEvent | Notice], path: Path, wanted: TranscriptFormat, console: Console
) -> TranscriptDone:
    """Write what is said as it comes, and how far it is beside it; returns how it ended."""
    from app.wording import counted, duration
    from pipelines.events import Notice
    from pipelines.transcribe import RecordingOpened, SegmentHeard, TranscribeProgress, TranscriptDone

    progress = Progress(console.err)
    writer = _Writer(wanted, console)
    progress.show("listening", f"listening to {path.name}")
    for event in events:
        match event:
            case RecordingOpened(kept_s=kept_s) if kept_s:
                progress.clear()
                console.say(f"going on at {duration(kept_s)}: what came before was recognised by an earlier run")
            case SegmentHeard(segment=segment):
                if console.out.is_terminal:
                    progress.clear()
                writer.add(segment)
            case TranscribeProgress():
                progress.show("transcribing", _how_far(event))
            case Notice(text=text, hint=hint):
                progress.clear()
                console.say(text, hint)
            case TranscriptDone():
                progress.clear()
                writer.end(event)
                for note in event.notes:
                    console.say(f"{path.name}: {note}")
                if not event.segments and not event.stopped:
                    console.say(f"nothing is said in {path.name}")
                elif event.real_time_factor and not event.stopped:
                    console.say(
                        f"{counted(event.segments, 'sentence')} in {duration(event.duration_s)} of sound, recognised at"
                        f" {1 / event.real_time_factor:.1f} times its speed"
                    )
                return event
            case _:
                pass
    raise AssertionError("transcribing ended without a report")


def _how_far(event: TranscribeProgress) -> str:
    from app.wording import duration

    if event.total_s is None or event.left_s is None:
        return f"transcribed {duration(event.done_s)}"
    drawn = bar(event.done_s, event.total_s)
    return f"{drawn}  {duration(event.done_s)} of {duration(event.total_s)}, about {duration(event.left_s)} left"


class _Writer:
    """Standard output in one of the formats."""

    def __init__(self, wanted: TranscriptFormat, console: Console) -> None:
        self._wanted = wanted
        self._console = console
        self._cues = 0
        self._segments: list[dict[str, Any]] = []
        if wanted == "vtt":
            console.out.words(VTT_HEADER)

    def add(self, segment: SpeechSegment) -> None:
        from pipelines.transcribe import segment_to_json

        match self._wanted:
            case "json":
                self._segments.append(segment_to_json(segment))
            case "txt":
                self._console.out.line(" ".join(segment.text.split()))
                self._console.out.flush()
            case "srt" | "vtt":
                for start_s, end_s, text in cues(segment):
                    self._cues += 1
                    is_srt = self._wanted == "srt"
                    cue = srt_cue(self._cues, start_s, end_s, text) if is_srt else vtt_cue(start_s, end_s, text)
                    self._console.out.words(cue)

    def end(self, done: TranscriptDone) -> None:
        if self._wanted == "json" and not done.stopped:
            self._console.json(
                {
                    "path": done.path,
                    "language": done.language,
                    "duration_s": round(done.duration_s, 2),
                    "segments": self._segments,
                    "real_time_factor": round(done.real_time_factor, 4),
                }
            )
