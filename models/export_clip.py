"""Turn an open_clip model into the ONNX files that `clip_files.py` knows. Needs the extra `homebody[clip-export]`.

A model is named `ARCH/PRETRAINED` with open_clip's own names (`ViT-B-32/laion2b_s34b_b79k`), `ARCH/FILE` with a
checkpoint on this disk, `hf-hub:ORGANISATION/NAME`, or by a folder with `open_clip_config.json`. Checkpoints are
read with weights-only loading: a file that would run code is refused. Knows nothing of quantisation.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.clip_onnx import LOGIT_SCALE_KEY
from models.errors import EngineFailed, UnknownModel, WeightsDamaged, WeightsMissing
from models.extras import install_hint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OPSET = 17
"""ONNX's standard operators of this version: LayerNormalization is one of them, and every runtime has them."""
NEEDED = ("torch", "open_clip")
_DECIDING_SUFFIXES = frozenset({".json", ".safetensors", ".bin", ".pt", ".pth"})
START, END = "<|startoftext|>", "<|endoftext|>"
_CLIP_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Which open_clip model to export."""

    kind: Literal["named", "hub", "folder", "checkpoint"]
    architecture: str
    """open_clip's name; of a hub's repository or a folder, that."""
    pretrained: str = ""
    """open_clip's tag, or the path of a checkpoint."""

    @property
    def name(self) -> str:
        """A name for files and for people."""
        if self.kind == "folder":
            return Path(self.architecture).resolve().name
        if self.kind == "checkpoint":
            return f"{self.architecture}__{Path(self.pretrained).stem}"
        return f"{self.architecture}__{self.pretrained}".strip("_").replace("/", "__")


def parse_source(text: str) -> ClipSource:
    """Of `clip:…`, with or without that word. Raises UnknownModel."""
    text = text.removeprefix("clip:").strip()
    if text.startswith("hf-hub:"):
        return ClipSource("hub", text.removeprefix("hf-hub:"))
    if (Path(text).expanduser() / "open_clip_config.json").is_file():
        return ClipSource("folder", str(Path(text).expanduser()))
    architecture, slash, pretrained = text.partition("/")
    if not architecture or not pretrained:
        raise UnknownModel(
            f"{text!r} names no open_clip model",
            hint="write clip:ARCH/PRETRAINED, as in clip:ViT-B-32/laion2b_s34b_b79k, or a folder with "
            "open_clip_config.json",
        )
    file = Path(pretrained).expanduser()
    if file.is_file():
        return ClipSource("checkpoint", architecture, str(file))
    if slash and ("/" in pretrained or file.suffix in (".pt", ".pth", ".bin", ".safetensors")):
        raise WeightsMissing(f"{file} is not there", hint="name a checkpoint on this disk, or one of open_clip's tags")
    return ClipSource("named", architecture, pretrained)


def check_installed() -> None:
    """Raises WeightsMissing where what an export needs is not installed. Imports nothing."""
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise WeightsMissing(
            f"exporting needs {' and '.join(lacking)}",
            hint=install_hint("clip-export"),
        )


def export_clip(source: ClipSource, folder: Path) -> Any:
    """Write the float model into the folder; returns open_clip's model, for comparing.

    Raises WeightsMissing (not installed, or no such checkpoint), UnknownModel, WeightsDamaged (a checkpoint that is
    not one, or that would run code), EngineFailed (an architecture that cannot be traced).
    """
    check_installed()
    import torch

    model, preprocess_config, tokenizer, context_tokens = load_clip(source)
    model.eval()
    write_input_files(folder, preprocess_config, tokenizer)
    visual, textual = folder / "visual", folder / "textual"
    height, width = _sides(preprocess_config["size"])
    picture = torch.zeros(1, 3, height, width)
    # Two different lengths of text, so that nothing is traced as if it were always the same.
    text = torch.zeros(1, context_tokens, dtype=torch.int32)
    text[0, :3] = torch.tensor(tokenizer.encode("a photo of a cat").ids[:3])
    _trace(_tower(model, "encode_image"), picture, visual / "model.onnx", "image")
    _trace(_tower(model, "encode_text"), text, textual / "model.onnx", "text")
    _tell(textual / "model.onnx", LOGIT_SCALE_KEY, f"{float(model.logit_scale.exp()):.4f}")
    return model


def write_input_files(folder: Path, preprocess_config: dict[str, Any], tokenizer: Tokenizer) -> tuple[Path, Path]:
    """What pictures and texts become before the model, where `clip_files.py` looks for it: config, tokenizer."""
    config_file, tokenizer_file = folder / "visual" / "preprocess_cfg.json", folder / "textual" / "tokenizer.json"
    for each in (config_file, tokenizer_file):
        each.parent.mkdir(parents=True, exist_ok=True)
    config_file.write_text(json.dumps(preprocess_config, indent=1), encoding="utf-8")
    tokenizer.save(str(tokenizer_file))
    return config_file, tokenizer_file


def local_files(source: ClipSource) -> tuple[Path, ...]:
    """The files on this disk that decide what a model is. Raises WeightsMissing for one that is only named."""
    if source.kind == "checkpoint":
        return (Path(source.pretrained),)
    if source.kind == "folder":
        files = sorted(each for each in Path(source.architecture).iterdir() if each.suffix in _DECIDING_SUFFIXES)
        if any(each.suffix != ".json" for each in files):
            return tuple(files)
    raise WeightsMissing(
        f"{source.name} has no weights on this disk",
        hint="name a folder with open_clip_config.json and its weights, or ARCH/CHECKPOINT with a file",
    )


def load_clip(source: ClipSource) -> tuple[Any, dict[str, Any], Tokenizer, int]:
    """open_clip's model on the CPU, its preprocessing, its tokenizer, its context in tokens.

    Raises as `export_clip`.
    """
    import pickle

    import open_clip

    name = {"folder": f"local-dir:{source.architecture}", "hub": f"hf-hub:{source.architecture}"}.get(
        source.kind, source.architecture
    )
    if source.kind in ("named", "checkpoint") and source.architecture not in open_clip.list_models():
        raise UnknownModel(
            f"open_clip has no architecture {source.architecture!r}",
            hint="its names: python -c 'import open_clip; print(open_clip.list_models())'",
        )
    if source.kind == "named" and source.pretrained not in open_clip.list_pretrained_tags_by_model(source.architecture):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(source.architecture)) or "none"
        raise UnknownModel(f"{source.architecture} has no weights {source.pretrained!r}", hint=f"there are: {tags}")
    try:
        model, _, _ = open_clip.create_model_and_transforms(
            name, pretrained=source.pretrained or None, device="cpu", precision="fp32", weights_only=True
        )
    except pickle.UnpicklingError as error:
        raise WeightsDamaged(
            f"{source.pretrained or source.architecture} would run code while it loads, or is no checkpoint",
            hint="take the model as safetensors",
        ) from error
    except (FileNotFoundError, OSError) as error:
        raise WeightsMissing(
            f"{source.name} cannot be had: {error}", hint="check the name and the connection"
        ) from error
    except (RuntimeError, ValueError, KeyError, EOFError) as error:
        raise WeightsDamaged(
            f"{source.name} cannot be loaded: {str(error).partition(chr(10))[0]}",
            hint="does the checkpoint belong to this architecture?",
        ) from error
    config = dict(open_clip.get_model_preprocess_cfg(model))
    size = config.get("size", model.visual.image_size)
    config["size"] = list(size) if isinstance(size, (tuple, list)) else [size, size]
    context_tokens = int(getattr(model, "context_length", 77))
    return model, config, _tokenizer(source, name, model), context_tokens


def _tokenizer(source: ClipSource, name: str, model: Any) -> Tokenizer:
    """The model's own, as a `tokenizers` one: beside a folder's weights, Hugging Face's, or CLIP's byte pairs."""
    import open_clip
    from tokenizers import Tokenizer

    beside = Path(source.architecture) / "tokenizer.json"
    if source.kind == "folder" and beside.is_file():
        tokenizer = Tokenizer.from_file(str(beside))
    else:
        theirs = open_clip.get_tokenizer(name)
        backend = getattr(getattr(theirs, "tokenizer", None), "backend_tokenizer", None)
        if backend is not None:
            tokenizer = Tokenizer.from_str(backend.to_str())
        else:
            tokenizer = clip_tokenizer(Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz")
    vocabulary = int(getattr(model, "vocab_size", tokenizer.get_vocab_size()))
    if source.kind == "hub" and tokenizer.get_vocab_size() > vocabulary:  # then the model must have one of its own
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        with contextlib.suppress(EntryNotFoundError):
            tokenizer = Tokenizer.from_file(hf_hub_download(source.architecture, "tokenizer.json"))
    if tokenizer.get_vocab_size() > vocabulary:
        raise WeightsDamaged(
            f"the tokenizer of {source.name} has {tokenizer.get_vocab_size():,} tokens, the model knows {vocabulary:,}",
            hint="put the model's own tokenizer.json beside it",
        )
    return tokenizer


def clip_tokenizer(merges_file: Path) -> Tokenizer:
    """CLIP's byte-pair tokenizer from open_clip's file of merges, in the form that `tokenizer.json` has."""
    lines = gzip.decompress(merges_file.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    return byte_pair_tokenizer(_byte_letters(), [(first, second) for first, second in merges])


def byte_pair_tokenizer(letters: Sequence[str], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """CLIP's kind of tokenizer: letters within and at the end of words, what they merge to, and the two special tokens.

    The end has the highest id, which is how a CLIP finds it.
    """
    from tokenizers import Tokenizer, models, processors

    ends = (letter + "</w>" for letter in letters)
    pieces = dict.fromkeys([*letters, *ends, *("".join(merge) for merge in merges), START, END])
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges), end_of_word_suffix="</w>", unk_token=END))
    clean_as_clip(tokenizer)
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def clean_as_clip(tokenizer: Tokenizer) -> None:
    """Let a tokenizer normalise and split text as CLIP's does: lower case, words, digits one by one, signs."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()


def _byte_letters() -> Sequence[str]:
    """A printable character for each byte, in the order of CLIP's vocabulary (GPT-2's `bytes_to_unicode`)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def _tower(model: Any, method: str) -> Any:
    """One half of the model as a module, its vectors brought to length 1."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, given: Any) -> Any:
            return getattr(self.model, method)(given, normalize=True)

    return Tower().eval()


def _trace(tower: Any, example: Any, target: Path, name: str) -> None:
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    # The fast path is one operator that ONNX does not have.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # about tracing, which is checked against the model afterwards
            torch.onnx.export(
                tower,
                (example,),
                os.fspath(target),
                input_names=[name],
                output_names=["embedding"],
                dynamic_axes={name: {0: "batch"}, "embedding": {0: "batch"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, ValueError, TypeError) as error:
        raise EngineFailed(
            f"the {name} half cannot be written as ONNX: {str(error).partition(chr(10))[0]}",
            hint="this architecture cannot be exported; see homebody models list for one that is",
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _tell(file: Path, key: str, value: str) -> None:
    """Add what is known of a model to its file."""
    import onnx

    model = onnx.load_model(str(file))
    model.metadata_props.add(key=key, value=value)
    onnx.save_model(model, str(file))


def _sides(size: Any) -> tuple[int, int]:
    return (int(size[0]), int(size[1])) if isinstance(size, list) else (int(size), int(size))
