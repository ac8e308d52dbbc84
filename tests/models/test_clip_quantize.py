"""Quantising a CLIP: what is kept is measured, what loses too much is refused, and ranking survives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.clip_files import QUANTIZED_DIR, find_clip
from models.clip_onnx import OnnxClip
from models.clip_quantize import Samples, compare, quantize_clip, quantize_installed
from models.errors import EngineFailed, WeightsDamaged
from models.quantize import Fidelity, quantize, refuse_below
from tests.models.tiny_clip import FOLDER, held_out_scenes


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny CLIP with its weights as floats again: what is pulled from the hub looks like this."""
    folder = tmp_path_factory.mktemp("floats") / "clip"
    shutil.copytree(FOLDER, folder)
    for part in ("visual", "textual"):
        _to_floats(folder / part / "model.onnx")
    return folder


def _to_floats(file: Path) -> None:
    """Undo dynamic quantisation: each DynamicQuantizeLinear, MatMulInteger, Cast, Mul, Mul becomes a MatMul."""
    model = onnx.load(file)
    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    by_output = {output: node for node in model.graph.node for output in node.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    dropped: set[str] = set()
    made: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            quantizer = by_output[node.input[0]]
            (cast,) = users[node.output[0]]
            (scaled,) = users[cast.output[0]]
            (scales,) = (by_output[name] for name in scaled.input if name != cast.output[0])
            weight_scale = next(values[name] for name in scales.input if name in values)
            zero = values[node.input[3]] if len(node.input) > 3 and node.input[3] else 0
            weight = (values[node.input[1]].astype(np.float32) - zero) * weight_scale
            name = f"{node.input[1]}_floats"
            model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
            made[scaled.output[0]] = onnx.helper.make_node("MatMul", [quantizer.input[0], name], [scaled.output[0]])
            dropped.update(output for each in (quantizer, node, cast, scales) for output in each.output)
    nodes = [made.get(node.output[0], node) for node in model.graph.node if node.output[0] not in dropped]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, file)


def samples() -> Samples:
    scenes = held_out_scenes()[:12]
    return Samples([picture for _, picture in scenes], [caption for caption, _ in scenes])


def test_int8_is_smaller_and_ranks_the_same(floats: Path, tmp_path: Path) -> None:
    made = quantize_clip(find_clip(floats), tmp_path / "int8", samples=samples())
    assert made.bytes_after < 0.5 * made.bytes_before
    assert len(made.pictures.cosines) == len(made.texts.cosines) == 12
    assert made.pictures.least >= 0.99
    assert made.texts.least >= 0.99
    clip, scenes = OnnxClip(made.files, model_id="int8"), held_out_scenes()
    images = np.stack([clip.encode_image(picture) for _, picture in scenes])
    texts = clip.encode_texts([caption for caption, _ in scenes])
    assert np.mean((texts @ images.T).argmax(axis=1) == np.arange(len(scenes))) >= 0.9
    assert not list(tmp_path.glob("*.partial"))


def test_what_loses_too_much_is_refused_and_leaves_nothing(floats: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"is refused: cosine with the float model \d\.\d+ at worst") as raised:
        quantize_clip(find_clip(floats), tmp_path / "int8", samples=samples(), least_cosine=0.999999)
    assert "--least-cosine" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_int4_keeps_most_of_it(floats: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx_ir")
    made = quantize_clip(find_clip(floats), tmp_path / "int4", kind="int4", samples=samples(), least_cosine=0.8)
    operators = {node.op_type for node in onnx.load(made.files.visual).graph.node}
    assert "MatMulNBits" in operators
    assert made.bytes_after < 0.6 * made.bytes_before
    assert made.pictures.mean > 0.9


def test_a_copy_beside_the_float_model_is_taken_until_it_is_damaged(floats: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clip-vit-b32-laion2b"
    shutil.copytree(floats, folder)
    plain = find_clip(folder)
    assert plain.quantized is None
    made = quantize_installed(folder, samples=samples())
    taken = find_clip(folder)
    assert taken.quantized is not None
    assert taken.quantized.least_cosine == pytest.approx(min(made.pictures.least, made.texts.least))
    assert taken.bytes == made.bytes_after < plain.bytes
    assert find_clip(folder, quantized=False) == plain
    report = compare(plain, taken, samples())
    assert report.pictures.least >= 0.99
    broken = folder / QUANTIZED_DIR / "visual.onnx"
    broken.write_bytes(broken.read_bytes()[:-1] + b"\x00\x01")
    assert find_clip(folder) == plain


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model" * 100)
    with pytest.raises(WeightsDamaged, match=r"model\.onnx"):
        quantize(tmp_path / "model.onnx", tmp_path / "out.onnx", "int8")
    assert not (tmp_path / "out.onnx").exists()


def test_no_number_is_never_good_enough() -> None:
    refuse_below(Fidelity((0.995, 0.991)), 0.99, "it")
    with pytest.raises(EngineFailed):
        refuse_below(Fidelity((float("nan"),)), 0.0, "it")


def test_a_copy_of_other_weights_is_not_taken(floats: Path, tmp_path: Path) -> None:
    """The floats were pulled anew, with other numbers in as many bytes: what was made of the old ones must go."""
    folder = tmp_path / "clip"
    shutil.copytree(floats, folder)
    quantize_installed(folder, samples=samples(), least_cosine=0.9)
    assert find_clip(folder).quantized is not None
    for part in ("visual", "textual"):
        file = folder / part / "model.onnx"
        model = onnx.load(file)
        largest = max(model.graph.initializer, key=lambda each: len(each.raw_data))
        largest.raw_data = (np.frombuffer(largest.raw_data, np.float32) * np.float32(1.5)).tobytes()
        before = file.read_bytes()
        onnx.save(model, file)
        assert file.stat().st_size == len(before)
        assert find_clip(folder).quantized is None, part
        file.write_bytes(before)
        assert find_clip(folder).quantized is not None


def test_what_stays_as_it_was_is_hashed_once(floats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(floats, folder)
    quantize_installed(folder, samples=samples(), least_cosine=0.9)
    find_clip(folder).sha256()
    read: list[Path] = []
    monkeypatch.setattr("models.checksum.sha256_of", read.append)
    find_clip(folder).sha256()
    assert read == []
