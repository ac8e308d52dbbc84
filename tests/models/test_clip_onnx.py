"""A real CLIP, small: it finds pictures by words, words by pictures, and says when its files are not whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from models.clip_files import find_clip
from models.clip_onnx import OnnxClip
from models.clip_preprocessing import ClipPreprocessing, read_preprocessing
from models.clip_probes import probe_pictures
from models.errors import EngineFailed, WeightsDamaged, WeightsMissing
from models.graph_cache import GraphCache
from models.image_encoder import ZeroShotLabels
from tests.models.tiny_clip import FOLDER, held_out_scenes


@pytest.fixture(scope="module")
def clip() -> OnnxClip:
    return OnnxClip(find_clip(FOLDER), model_id="tiny-clip")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "clip")
    return tmp_path / "clip"


def test_captions_find_their_pictures_among_fifty(clip: OnnxClip) -> None:
    """Chance is 0.02; the model in PyTorch reaches 0.96."""
    scenes = held_out_scenes()
    images = np.stack([clip.encode_image(picture) for _, picture in scenes])
    texts = clip.encode_texts([caption for caption, _ in scenes])
    likeness = texts @ images.T
    own = np.arange(len(scenes))
    assert np.mean(likeness.argmax(axis=1) == own) >= 0.9
    assert np.mean(likeness.argmax(axis=0) == own) >= 0.8


@pytest.mark.parametrize("wording", ["photo of {}", "the picture with {}", "{}"])
def test_a_caption_in_other_words_finds_its_picture(clip: OnnxClip, wording: str) -> None:
    scenes = held_out_scenes()
    images = np.stack([clip.encode_image(picture) for _, picture in scenes])
    texts = clip.encode_texts([wording.format(caption) for caption, _ in scenes])
    assert np.mean((texts @ images.T).argmax(axis=1) == np.arange(len(scenes))) >= 0.8


def test_a_picture_finds_itself_at_another_size(clip: OnnxClip) -> None:
    from PIL import Image

    scenes = held_out_scenes()
    images = np.stack([clip.encode_image(picture) for _, picture in scenes])
    larger = [np.asarray(Image.fromarray(picture).resize((200, 200))) for _, picture in scenes[:10]]
    found = [int((images @ clip.encode_image(picture)).argmax()) for picture in larger]
    assert found == list(range(10))


def test_labels_of_ones_own_are_put_in_order(clip: OnnxClip) -> None:
    scenes = [scene for scene in held_out_scenes() if " above " not in scene[0] and " left of " not in scene[0]]
    colours = ["red", "green", "blue", "yellow", "orange", "purple", "black", "brown"]
    labels = ZeroShotLabels(clip, [f"{colour} shape" for colour in colours])
    right = 0
    for caption, picture in scenes:
        ordered = labels.of(clip.encode_image(picture))
        assert 0 < sum(label.score for label in ordered) <= 1.0 + 1e-6
        assert [label.score for label in ordered] == sorted((label.score for label in ordered), reverse=True)
        right += ordered[0].name.split()[0] in caption.split()
    assert right / len(scenes) >= 0.75
    with pytest.raises(ValueError, match="no labels"):
        ZeroShotLabels(clip, [" "])


def test_a_label_s_score_is_a_probability(clip: OnnxClip) -> None:
    """Of what is said with some sureness so much is right; and a label alone in its list need not be shown."""
    scenes = held_out_scenes()
    vectors = [clip.encode_image(picture) for _, picture in scenes]
    labels = ZeroShotLabels(clip, [caption for caption, _ in scenes])
    best = [labels.of(vector)[0] for vector in vectors]
    right = float(np.mean([label.name == caption for label, (caption, _) in zip(best, scenes, strict=True)]))
    sure = float(np.mean([label.score for label in best]))
    assert right >= 0.9
    assert abs(right - sure) < 0.05, (right, sure)
    alone = [
        [ZeroShotLabels(clip, [scenes[(at + other) % 50][0]]).of(vector)[0].score for at, vector in enumerate(vectors)]
        for other in (0, 7)
    ]
    assert np.mean(alone[0]) > 0.95
    assert np.mean(alone[1]) < 0.6


def test_vectors_of_labels_are_kept_for_one_clip(clip: OnnxClip, tmp_path: Path) -> None:
    cache = GraphCache(tmp_path)
    picture = clip.encode_image(held_out_scenes()[0][1])
    first = ZeroShotLabels(clip, ["red star", "blue circle"], cache=cache).of(picture)

    class Silent(OnnxClip):
        def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            assert list(texts) == [""], "what was encoded before is encoded again"
            return super().encode_texts(texts)

    silent = Silent(find_clip(FOLDER), model_id="tiny-clip")
    assert ZeroShotLabels(silent, ["red star", "blue circle"], cache=cache).of(picture) == first
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    assert ZeroShotLabels(clip, ["red star", "blue circle"], cache=cache).of(picture) == first


def test_a_vector_does_not_depend_on_its_neighbours(clip: OnnxClip) -> None:
    alone = clip.encode_texts(["a red circle"])[0]
    among = clip.encode_texts(["three blue stars", "a red circle", "x" * 2000])[1]
    assert np.array_equal(alone, among)
    assert np.linalg.norm(alone) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["", " ", "\x00\n", "<|endoftext|><|startoftext|>", "日本語 🎉", "a" * 100_000])
def test_any_text_has_a_vector(clip: OnnxClip, text: str) -> None:
    (vector,) = clip.encode_texts([text])
    assert np.isfinite(vector).all()
    assert clip.encode_texts([]).shape == (0, clip.dimension)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3000, 2, 3), (2, 3000, 3), (64, 64, 3)])
def test_any_picture_has_a_vector(clip: OnnxClip, shape: tuple[int, int, int]) -> None:
    assert np.isfinite(clip.encode_image(np.full(shape, 200, np.uint8))).all()


def test_what_is_no_picture_is_refused(clip: OnnxClip) -> None:
    with pytest.raises(ValueError, match="a picture of shape"):
        clip.encode_image(np.zeros((4, 4), np.uint8))


def test_the_layout_of_hugging_face_gives_the_same_vectors(clip: OnnxClip, tmp_path: Path) -> None:
    """As Xenova exports it: other names of files, inputs and outputs, int64 tokens, a mask nobody needs."""
    folder = tmp_path / "hf"
    folder.mkdir()
    visual, textual = (onnx.load(FOLDER / part / "model.onnx") for part in ("visual", "textual"))
    _rename(visual, {"image": "pixel_values", "embedding": "image_embeds"})
    _rename(textual, {"text": "input_ids", "embedding": "text_embeds"})
    (given,) = textual.graph.input
    given.type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(visual, folder / "vision_model_quantized.onnx")
    onnx.save(textual, folder / "text_model_quantized.onnx")
    shutil.copy(FOLDER / "textual" / "tokenizer.json", folder)
    config = {
        "do_center_crop": True,
        "crop_size": {"height": 64, "width": 64},
        "size": {"shortest_edge": 64},
        "resample": 3,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    other = OnnxClip(find_clip(folder), model_id="xenova")
    caption, picture = held_out_scenes()[3]
    assert other.encode_image(picture) == pytest.approx(clip.encode_image(picture), abs=1e-5)
    assert other.encode_texts([caption]) == pytest.approx(clip.encode_texts([caption]), abs=1e-5)
    assert other.sha256 != clip.sha256


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]


@pytest.mark.parametrize("missing", ["visual/model.onnx", "textual/model.onnx", "textual/tokenizer.json"])
def test_a_folder_that_lacks_a_file_says_how_to_get_one(copied: Path, missing: str) -> None:
    (copied / missing).unlink()
    with pytest.raises(WeightsMissing) as raised:
        find_clip(copied)
    assert "models pull --for clip" in raised.value.hint


@pytest.mark.parametrize("file", ["visual/model.onnx", "textual/model.onnx", "textual/tokenizer.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_damaged_file_is_named(copied: Path, file: str, damage: str) -> None:
    content = (copied / file).read_bytes()
    noise = np.random.default_rng(1).bytes(1000)
    (copied / file).write_bytes({"cut": content[: len(content) // 3], "empty": b"", "noise": noise}[damage])
    with pytest.raises(WeightsDamaged) as raised:
        OnnxClip(find_clip(copied), model_id="tiny-clip")
    assert Path(file).name in str(raised.value)


@pytest.mark.parametrize(
    "config",
    ["[]", "{", '{"size": [0, 0]}', '{"size": [64, 64], "std": [0, 1, 1]}', '{"size": [64, 64], "resize_mode": "x"}',
     '{"size": [99999, 99999]}', '{"size": [64, 64], "mean": [1]}', '{"size": "large"}'],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused(copied: Path, config: str) -> None:
    (copied / "visual" / "preprocess_cfg.json").write_text(config, encoding="utf-8")
    with pytest.raises(WeightsDamaged, match="preprocess_cfg"):
        OnnxClip(find_clip(copied), model_id="tiny-clip")


def test_a_config_of_another_model_is_refused(copied: Path) -> None:
    (copied / "visual" / "preprocess_cfg.json").write_text('{"size": [224, 224]}', encoding="utf-8")
    with pytest.raises(WeightsDamaged, match="224 x 224"):
        OnnxClip(find_clip(copied), model_id="tiny-clip")


def test_a_closed_encoder_says_so() -> None:
    clip = OnnxClip(find_clip(FOLDER), model_id="tiny-clip")
    clip.close()
    clip.close()
    with pytest.raises(EngineFailed, match="closed"):
        clip.encode_texts(["a"])


def test_pictures_are_prepared_as_open_clip_does() -> None:
    """Against values that open_clip's own transforms gave (`scripts/make_clip_reference.py`)."""
    cases = json.loads((FOLDER.parent / "clip_preprocessing.json").read_text(encoding="utf-8"))
    pictures = probe_pictures(5)
    for case in cases:
        config = case["config"]
        prepare = ClipPreprocessing(
            config["size"][1],
            config["size"][0],
            interpolation=config["interpolation"],
            resize_mode=config["resize_mode"],
            fill=config.get("fill_color", 0),
        )
        made = prepare(pictures[case["picture"]][: case["height"], : case["width"]])
        assert made.reshape(-1)[case["places"]] == pytest.approx(case["values"], abs=2e-5), config
        assert float(made.mean()) == pytest.approx(case["mean"], abs=1e-4)


def test_the_model_s_own_config_is_read() -> None:
    read = read_preprocessing(FOLDER / "visual" / "preprocess_cfg.json")
    assert (read.width_px, read.height_px, read.interpolation, read.resize_mode) == (64, 64, "bicubic", "shortest")
