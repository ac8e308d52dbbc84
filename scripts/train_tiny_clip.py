"""Train a small CLIP on drawn scenes with open_clip's own model, loss and training loop, and say how well it finds.

It stands in for weights that cannot be shipped: tests of export, quantisation, search and labels need a CLIP whose
rankings mean something. Writes a checkpoint in open_clip's folder layout (`open_clip_config.json`,
`open_clip_model.safetensors`) with its `tokenizer.json`, and the held-out scenes with their captions.

    pip install --editable '.[clip-export]'
    python scripts/train_tiny_clip.py FOLDER          # some minutes on 2 cores
    homebody models export clip:FOLDER --out tests/data/tiny-clip

Same seed, same threads, same versions: same weights. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.export_clip import byte_pair_tokenizer, clean_as_clip
from scripts.scenes import SIDE_PX, Scene, draw, held_out_scenes, training_scenes

SEED = 20260
CONTEXT_TOKENS = 24
MERGES = 400
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's, which open_clip takes for its own models."""
WORDINGS = ("{}", "a photo of {}", "a picture of {}", "a drawing of {}", "{} on a plain background")


def model_config(vocabulary: int) -> dict[str, Any]:
    """Everything that a large CLIP has, small: about 1 million parameters."""
    return {
        "embed_dim": 96,
        "vision_cfg": {"image_size": SIDE_PX, "patch_size": 16, "width": 128, "head_width": 32, "layers": 3},
        "text_cfg": {
            "context_length": CONTEXT_TOKENS,
            "vocab_size": vocabulary,
            "width": 96,
            "heads": 4,
            "layers": 2,
        },
    }


def make_tokenizer(captions: list[str]) -> Tokenizer:
    """As CLIP's: byte pairs with an end-of-word sign, lower case; the end token has the highest id."""
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    clean_as_clip(trained)
    trained.train_from_iterator(
        captions,
        trainers.BpeTrainer(
            vocab_size=512 + MERGES,
            end_of_word_suffix="</w>",
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    merges = [(first, second) for first, second in json.loads(trained.to_str())["model"]["merges"]]
    return byte_pair_tokenizer(sorted(pre_tokenizers.ByteLevel.alphabet()), merges)


class ScenePool:
    """Drawn scenes in batches, as open_clip's training loop takes them."""

    def __init__(self, tokenizer: Tokenizer, *, scenes: int, batch: int, batches: int) -> None:
        dice = random.Random(SEED)
        source = training_scenes(SEED)
        self._scenes = [next(source) for _ in range(scenes)]
        self._pictures = as_pictures(self._scenes, dice)
        self._tokenizer = tokenizer
        self._dice = random.Random(SEED + 1)
        self.batch_size, self.num_batches, self.num_samples = batch, batches, batch * batches

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(self.num_batches):
            captions = dict[str, int]()
            while len(captions) < self.batch_size:  # two scenes that say the same would punish what is right
                at = self._dice.randrange(len(self._scenes))
                captions.setdefault(self._scenes[at].caption, at)
            texts = [worded(caption, self._dice) for caption in captions]
            yield normalised(self._pictures[list(captions.values())]), token_ids(self._tokenizer, texts)


def worded(caption: str, dice: random.Random) -> str:
    """As people write it: with words around it, or without its article."""
    if dice.random() < 0.3:
        return caption.removeprefix("a ").removeprefix("an ")
    return dice.choice(WORDINGS).format(caption)


def as_pictures(scenes: list[Scene], dice: random.Random) -> torch.Tensor:
    """Bytes of shape (scenes, 3, SIDE_PX, SIDE_PX)."""
    return torch.from_numpy(np.stack([np.asarray(draw(scene, dice)).transpose(2, 0, 1) for scene in scenes]))


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pictures.float() / 255 - mean) / std


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Shape (texts, CONTEXT_TOKENS), padded with 0 as open_clip does."""
    ids = torch.zeros((len(texts), CONTEXT_TOKENS), dtype=torch.long)
    for row, encoding in enumerate(tokenizer.encode_batch(texts)):
        ids[row, : len(encoding.ids)] = torch.tensor(encoding.ids[:CONTEXT_TOKENS])
    return ids


def recall_at_1(model: open_clip.CLIP, tokenizer: Tokenizer, scenes: list[Scene], pictures: torch.Tensor) -> float:
    """The share of captions whose nearest picture is their own."""
    model.eval()
    with torch.inference_mode():
        images = model.encode_image(normalised(pictures), normalize=True)
        texts = model.encode_text(token_ids(tokenizer, [scene.caption for scene in scenes]), normalize=True)
    return float(((texts @ images.T).argmax(dim=1) == torch.arange(len(scenes))).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=12_000, help="drawn once")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1, help="another number gives other weights")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(SEED)
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    began_s = time.monotonic()

    source, dice = training_scenes(SEED), random.Random(SEED)
    tokenizer = make_tokenizer([worded(next(source).caption, dice) for _ in range(4000)])
    config = model_config(tokenizer.get_vocab_size())
    model = open_clip.CLIP(**config, output_dict=True)
    per_epoch = 100
    pool = ScenePool(tokenizer, scenes=args.scenes, batch=args.batch, batches=per_epoch)
    logging.info("%d scenes drawn in %.0f s", args.scenes, time.monotonic() - began_s)
    held_out = held_out_scenes(50, SEED + 2)
    pictures = as_pictures(held_out, random.Random(SEED + 3))

    decayed = [each for each in model.parameters() if each.ndim >= 2]
    plain = [each for each in model.parameters() if each.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.1}], lr=1e-3, betas=(0.9, 0.98)
    )
    scheduler = cosine_lr(optimizer, 1.5e-3, 100, args.steps)
    settings = SimpleNamespace(
        device="cpu",
        precision="fp32",
        distill=False,
        accum_freq=1,
        skip_scheduler=False,
        grad_clip_norm=1.0,
        horovod=False,
        rank=0,
        local_rank=0,
        log_local=False,
        log_every_n_steps=25,
        world_size=1,
        batch_size=args.batch,
        wandb=False,
    )
    data = {"train": SimpleNamespace(set_epoch=lambda _epoch: None, dataloader=pool)}
    for epoch in range(args.steps // per_epoch):
        train_one_epoch(model, data, open_clip.ClipLoss(), epoch, optimizer, None, scheduler, None, settings)
        logging.info("recall@1 of 50 held-out captions: %.2f", recall_at_1(model, tokenizer, held_out, pictures))

    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": MEAN, "std": STD}}, indent=1), encoding="utf-8"
    )
    save_file(
        {name: each.contiguous() for name, each in model.state_dict().items()},
        args.folder / "open_clip_model.safetensors",
    )
    tokenizer.save(str(args.folder / "tokenizer.json"))
    scenes_dir = args.folder / "scenes"
    scenes_dir.mkdir(exist_ok=True)
    for number, picture in enumerate(draw_again(held_out)):
        picture.save(scenes_dir / f"{number:02}.png", optimize=True)
    (scenes_dir / "captions.json").write_text(
        json.dumps([each.caption for each in held_out], indent=1), encoding="utf-8"
    )
    recall = recall_at_1(model, tokenizer, held_out, pictures)
    print(f"recall@1 of {len(held_out)} held-out captions: {recall:.2f} (chance {1 / len(held_out):.2f})")
    print(
        json.dumps(
            {
                "recall_at_1": recall,
                "held_out": len(held_out),
                "steps": args.steps,
                "parameters": sum(each.numel() for each in model.parameters()),
                "seconds": round(time.monotonic() - began_s),
            }
        )
    )


def draw_again(scenes: list[Scene]) -> Iterator[Any]:
    dice = random.Random(SEED + 3)
    for scene in scenes:
        yield draw(scene, dice)


if __name__ == "__main__":
    main()
