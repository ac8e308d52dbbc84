"""How fast homebody embeds, beside two anchors in the same run, turn and turn about.

bare     ONNX Runtime alone on the same file with the same threads: texts tokenised beforehand, sorted by length, in
         the batch size that is best here, nothing pooled. What a perfect program around the session would reach.
graph    the same on the graph that homebody rewrote: what its own pipeline costs on top of its own session.
chroma   chromadb's default embedder, its own code (one text tokenised at a time, all padded to 256, batches of 32,
         float32). Its weights cannot be had without its download, so it is given a float32 graph of the same
         weights with fused attention, which is at least as fast. `--chroma-onnx FOLDER` takes the real one.

Two kinds of text: notes (about 74 tokens) and passages (about 180), cut from real text. A human table; the last
line is one JSON object. Figures count the texts' own tokens, never padding.

    python scripts/bench_embed.py WEIGHTS_DIR [--threads 2] [--rounds 3] [--text FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere, not installed

from models.bert_graph import BertEncoder, Table, read_bert_encoder
from models.embed_text_onnx import OnnxTextEmbedder
from models.graph_writer import Linear, Norm
from models.integer_graph import integer_encoder
from models.onnx_devices import onnx_runtime
from models.onnx_session import read_model

PROJECT = Path(__file__).resolve().parent.parent
MODEL_ID = "all-minilm-l6-v2-int8"
WORKLOADS = {"notes": 74, "passages": 180}
MAX_TOKENS = 256
BATCH_SIZES = (1, 4, 8, 16, 32)
BUSY_LOAD_PER_CORE = 0.3


def read_text(file: Path | None) -> str:
    """Real prose: the file named, or homebody's own examples and documents."""
    if file is not None:
        return file.read_text(encoding="utf-8", errors="replace")
    found = [each for each in sorted((PROJECT / "examples").rglob("*")) if each.suffix in (".md", ".txt")]
    found += sorted(PROJECT.glob("*.md"))
    return "\n".join(each.read_text(encoding="utf-8", errors="replace") for each in found)


def cut(text: str, count: int, mean_tokens: int, tokens_of: Callable[[str], int]) -> list[str]:
    """Texts of varied length around a mean, the same every time."""
    words = text.split()
    wanted = np.random.default_rng(7).lognormal(0.0, 0.5, count)
    words_each, texts = wanted * mean_tokens / wanted.mean(), list[str]()
    for _ in range(4):  # tokens a word are found by cutting, and long texts are cut off: approach the mean
        texts, position = [], 0
        for length in np.maximum(4, words_each).astype(int):
            texts.append(" ".join(words[(position + offset) % len(words)] for offset in range(length)))
            position += length
        words_each *= mean_tokens / np.mean([min(tokens_of(each) + 2, MAX_TOKENS) for each in texts])
    return texts


class Bare:
    """A session alone: batches prepared beforehand, `run` and nothing else."""

    def __init__(self, graph: bytes, threads: int) -> None:
        ort = onnx_runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._names = [each.name for each in self._session.get_inputs()]

    def best_batches(self, token_ids: Sequence[list[int]]) -> tuple[int, list[dict[str, NDArray[np.int64]]]]:
        """The batch size that is fastest here, and the batches."""
        prepared = {size: self.batches(token_ids, size) for size in BATCH_SIZES}
        sample = {size: batches[:: max(1, len(batches) // 4)] for size, batches in prepared.items()}
        rates = {
            size: sum(int(each["attention_mask"].sum()) for each in batches) / self.seconds(batches)
            for size, batches in sample.items()
        }
        best = max(rates, key=lambda size: rates[size])
        return best, prepared[best]

    @staticmethod
    def batches(token_ids: Sequence[list[int]], size: int) -> list[dict[str, NDArray[np.int64]]]:
        ordered = sorted(token_ids, key=len)
        made = []
        for start in range(0, len(ordered), size):
            group = ordered[start : start + size]
            ids = np.zeros((len(group), len(group[-1])), np.int64)
            mask = np.zeros_like(ids)
            for row, each in enumerate(group):
                ids[row, : len(each)] = each
                mask[row, : len(each)] = 1
            made.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
        return made

    def seconds(self, batches: Iterable[dict[str, NDArray[np.int64]]]) -> float:
        started = time.perf_counter()
        for batch in batches:
            self._session.run(None, {name: batch[name] for name in self._names})
        return time.perf_counter() - started

    def seconds_side_by_side(self, batches: Sequence[dict[str, NDArray[np.int64]]], threads: int) -> float:
        """The same with as many runs at once as there are threads, for a session of one thread."""
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda batch: self._session.run(None, {name: batch[name] for name in self._names}), batches))
        return time.perf_counter() - started


def float_graph(encoder: BertEncoder) -> bytes:
    """The encoder in float32 with ONNX Runtime's fused attention, norms and GELU: what its optimiser makes of the
    usual export."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def constant(name: str, array: NDArray[Any]) -> str:
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(op_type: str, inputs: Sequence[str], domain: str = "com.microsoft", **attributes: Any) -> str:
        nodes.append(helper.make_node(op_type, list(inputs), [f"v{len(nodes)}"], domain=domain, **attributes))
        return f"v{len(nodes) - 1}"

    def norm(name: str, values: str, skip: str, bias: NDArray[np.float32], each: Norm) -> str:
        inputs = [values, skip, constant(f"{name}_w", each.weight), constant(f"{name}_b", each.bias)]
        return node("SkipLayerNormalization", [*inputs, constant(f"{name}_bias", bias)], epsilon=each.epsilon)

    def table(name: str, each: Table) -> str:
        return constant(name, each.as_float())

    def product(name: str, values: str, each: Linear) -> str:
        return node("MatMul", [values, constant(name, each.as_float())], domain="")

    words = node("Gather", [table("words", encoder.words), "input_ids"], domain="")
    types = node("Gather", [table("types", encoder.token_types), "token_type_ids"], domain="")
    zero = constant("zero", np.array([0], np.int64))
    length = node("Shape", ["input_ids"], domain="", start=1, end=2)
    place = node("Slice", [table("positions", encoder.positions), zero, length, zero], domain="")
    total = node("Add", [node("Add", [words, types], domain=""), place], domain="")
    first = [total, constant("n_w", encoder.norm.weight), constant("n_b", encoder.norm.bias)]
    hidden = node("LayerNormalization", first, domain="", axis=-1, epsilon=encoder.norm.epsilon)
    mask = node("Cast", ["attention_mask"], domain="", to=TensorProto.INT32)
    for number, layer in enumerate(encoder.layers):
        joined = [layer.query, layer.key, layer.value]
        weight = constant(f"qkv{number}", np.concatenate([each.as_float() for each in joined], axis=1))
        bias = constant(f"qkv{number}_b", np.concatenate([each.bias for each in joined]))
        attended = node("Attention", [hidden, weight, bias, mask], num_heads=encoder.heads)
        mixed = product(f"o{number}", attended, layer.attention_output)
        hidden = norm(f"a{number}", mixed, hidden, layer.attention_output.bias, layer.attention_norm)
        widened = product(f"i{number}", hidden, layer.intermediate)
        activated = node("BiasGelu", [widened, constant(f"i{number}_b", layer.intermediate.bias)])
        mixed = product(f"f{number}", activated, layer.output)
        hidden = norm(f"l{number}", mixed, hidden, layer.output.bias, layer.output_norm)
    nodes[-1].output[0] = "last_hidden_state"
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", encoder.width])
    graph = helper.make_graph(nodes, "float_encoder", inputs, [output], list(constants.values()))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def chroma_embedder(folder: Path) -> Callable[[list[str]], Any]:
    """chromadb's own class over the files in a folder; it finds them there and downloads nothing."""
    from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2

    class FromFolder(ONNXMiniLM_L6_V2):
        DOWNLOAD_PATH = folder

    return FromFolder(preferred_providers=["CPUExecutionProvider"])


def stand_in(folder: Path, graph: bytes, tokenizer: Path) -> Path:
    """Lay the files out as chromadb expects them."""
    target = folder / "onnx"
    target.mkdir(parents=True)
    for name in ("config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt"):
        (target / name).write_text("")
    (target / "model.onnx").write_bytes(graph)
    shutil.copyfile(tokenizer, target / "tokenizer.json")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, help=f"the folder that holds {MODEL_ID}/")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--text", type=Path, help="a file of real text to cut the texts from")
    parser.add_argument("--chroma-onnx", type=Path, help="the folder that holds chromadb's own onnx/")
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY_LOAD_PER_CORE * (os.cpu_count() or 1):
        print(f"warning: this machine is busy (load {load:.1f}); the figures mean little", file=sys.stderr)

    folder = options.weights / MODEL_ID
    model = read_model(folder / "model.onnx")
    encoder, rewritten = read_bert_encoder(model), integer_encoder(model)
    if encoder is None or rewritten is None:
        print(f"{folder} holds another model than this benchmark is for", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="homebody-bench-") as temporary:
        embedder = OnnxTextEmbedder(
            model_id=MODEL_ID,
            model_file=folder / "model.onnx",
            tokenizer_file=folder / "tokenizer.json",
            sha256=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
            dimension=384,
            max_tokens=MAX_TOKENS,
            threads=options.threads,
            cache_dir=Path(temporary) / "cache",
        )
        floats = float_graph(encoder)
        chroma_dir = options.chroma_onnx or stand_in(Path(temporary) / "chroma", floats, folder / "tokenizer.json")
        chroma = chroma_embedder(chroma_dir)
        bare, own_graph = Bare(model.SerializeToString(), options.threads), Bare(rewritten, 1)
        text = read_text(options.text)
        record: dict[str, Any] = {
            "bench": "embed",
            "model": MODEL_ID,
            "threads": options.threads,
            "arithmetic": embedder.arithmetic,
            "load": round(load, 2),
            "chroma": "its own file" if options.chroma_onnx else "its code over a float32 graph of the same weights",
        }
        print(f"{MODEL_ID}, {embedder.arithmetic}, {options.threads} threads; tokens embedded a second")
        print(f"{'':10}{'homebody':>10}{'bare':>10}{'graph':>10}{'chroma':>10}   of bare  of graph  of chroma")
        for name, mean_tokens in WORKLOADS.items():
            texts = cut(text, options.texts, mean_tokens, embedder.count_tokens)
            token_ids = embedder.token_ids(texts)
            tokens = sum(map(len, token_ids))
            best, batches = bare.best_batches(token_ids)
            singles = own_graph.batches(token_ids, 1)[::-1]
            contestants: dict[str, Callable[[], float]] = {
                "homebody": partial(timed, partial(embedder.embed_passages, texts)),
                "bare": partial(bare.seconds, batches),
                "graph": partial(own_graph.seconds_side_by_side, singles, options.threads),
                "chroma": partial(timed, partial(chroma, texts)),
            }
            cosines = (embedder.embed_passages(texts) * np.array(chroma(texts))).sum(axis=1)
            rates: dict[str, list[float]] = {each: [] for each in contestants}
            for _ in range(options.rounds):
                for each, run in contestants.items():
                    rates[each].append(tokens / run())
            middle = {each: statistics.median(values) for each, values in rates.items()}
            ratios = {each: middle["homebody"] / middle[each] for each in ("bare", "graph", "chroma")}
            shown = "".join(f"{middle[each]:10.0f}" for each in contestants)
            print(f"{name:10}{shown}" + "".join(f"{ratios[each]:9.2f}x" for each in ratios))
            record[name] = {
                "texts": len(texts),
                "mean_tokens": round(tokens / len(texts), 1),
                "bare_batch": best,
                "tokens_per_s": {each: round(value, 1) for each, value in middle.items()},
                "of": {each: round(value, 3) for each, value in ratios.items()},
                "cosine_with_float": {"mean": round(float(cosines.mean()), 4), "min": round(float(cosines.min()), 4)},
            }
        question = partial(embedder.embed_query, "When was the boiler serviced last?")
        queries = [timed(question) for _ in range(20)]
        record["query_ms"] = round(1000 * statistics.median(queries), 2)
        print(f"one question: {record['query_ms']} ms")
        embedder.close()
    print(json.dumps(record))
    return 0


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
