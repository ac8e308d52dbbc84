"""The labels that homebody carries: parity with the float network, words that people ask for, and silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.errors import EngineFailed
from models.labels import Label
from models.labels_onnx import OnnxLabeller, named, prepared

PICTURES = Path(__file__).parent.parent / "data" / "pictures"


@pytest.fixture(scope="module")
def labeller() -> Iterator[OnnxLabeller]:
    made = OnnxLabeller()
    yield made
    made.close()


def photo(name: str) -> NDArray[np.uint8]:
    with Image.open(PICTURES / f"{name}.jpg") as opened:
        return np.asarray(opened.convert("RGB"))


def words(labels: list[Label]) -> set[str]:
    return {word for label in labels for word in (label.name, *label.also)}


@pytest.mark.parametrize("name", ["cat", "coffee", "rocket"])
def test_weights_in_8_bits_agree_with_the_float_network(labeller: OnnxLabeller, name: str) -> None:
    with np.load(PICTURES / "float_logits.npz") as kept:
        expected = kept[name].astype(np.float32)
    got = labeller.logits(prepared(photo(name), 260))
    for wanted, found in zip(expected, got, strict=True):
        cosine = float(wanted @ found / (np.linalg.norm(wanted) * np.linalg.norm(found)))
        assert cosine > 0.97
        assert wanted.argmax() in np.argsort(found)[-3:]


def test_a_cat_is_found_by_that_word(labeller: OnnxLabeller) -> None:
    labels = labeller.labels(photo("cat"))
    assert {"cat", "pet", "animal"} <= words(labels)
    assert labels[0].score > 0.2


def test_coffee_is_found_by_that_word(labeller: OnnxLabeller) -> None:
    assert "coffee" in words(labeller.labels(photo("coffee")))


def test_nothing_is_said_of_an_empty_picture(labeller: OnnxLabeller) -> None:
    assert labeller.labels(np.full((200, 300, 3), 230, np.uint8)) == []


def test_every_dog_is_a_dog_and_every_bird_a_bird() -> None:
    kinds = OnnxLabeller()._kinds
    assert len(kinds) == 1000
    assert all("dog" in kind.also for kind in kinds[151:269])
    assert all("bird" in kind.also for kind in kinds[80:101])
    assert all(kind.name and "," not in kind.name for kind in kinds)


def test_what_likely_kinds_have_in_common_is_said_when_none_is_sure() -> None:
    kinds = tuple(Label(f"breed {n}", 0.0, ("dog", "animal")) for n in range(10))
    scores = np.full(10, 0.09, np.float32)
    assert {label.name for label in named(scores, kinds)} == {"dog", "animal"}
    assert named(np.full(10, 0.01, np.float32), kinds) == []


def test_a_closed_labeller_says_so() -> None:
    labeller = OnnxLabeller()
    labeller.close()
    labeller.close()
    with pytest.raises(EngineFailed, match="closed"):
        labeller.labels(photo("cat"))
