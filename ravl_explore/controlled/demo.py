"""Builds the embedded demo, data and checkpoints, from raw FashionMNIST: ``python -m ravl_explore.controlled.demo``.

Raw files: Debian's ``dataset-fashion-mnist``, or torchvision's download into ``--raw``. Everything is seeded; on two
CPU cores the whole takes about half an hour, nearly all of it the pretraining. What the package ships is what this made.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, SIDE, TEMPLATES, compose
from ravl_explore.models.base import TEMPERATURE, class_embeddings, resize
from ravl_explore.models.clip_resnet import ClipResNet
from ravl_explore.models.demo import build_demo, demo_tokenizer

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
VOCABULARY_MERGES = 2000

Split = dict[str, np.ndarray]


def read_raw(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """FashionMNIST's own files -> {"train" | "t10k": (images (n, 28, 28) uint8, labels (n,) uint8)}."""
    raw = {}
    for part in ("train", "t10k"):
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, SIDE, SIDE)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
            labels = np.frombuffer(file.read(), np.uint8, offset=8)
        raw[part] = (images, labels)
    return raw


def lay_out(garments: np.ndarray, labels: np.ndarray, has_square: np.ndarray, rng: np.random.Generator) -> Split:
    """Draw quadrants and captions: the garment anywhere, the square (where there is one) in another quadrant."""
    n = len(labels)
    quadrant = rng.integers(4, size=n)
    square = np.where(has_square, (quadrant + rng.integers(1, 4, size=n)) % 4, -1)
    return {
        "garments": garments,
        "labels": labels.astype(np.uint8),
        "quadrant": quadrant.astype(np.uint8),
        "square": square.astype(np.int8),
        "caption": rng.integers(len(CAPTIONS), size=n).astype(np.uint8),
    }


def uncorrelated(images: np.ndarray, labels: np.ndarray, per_class: int, rng: np.random.Generator) -> Split:
    """``per_class`` garments of every class, half of each with the square, shuffled."""
    rows = np.concatenate([np.flatnonzero(labels == y)[:per_class] for y in range(len(CLASS_NAMES))])
    has_square = np.tile(np.arange(per_class) % 2 == 0, len(CLASS_NAMES))
    order = rng.permutation(len(rows))
    return lay_out(images[rows[order]], labels[rows[order]], has_square[order], rng)


def correlated(
    images: np.ndarray,
    labels: np.ndarray,
    spurious_class: int,
    per_class: int,
    strength: float,
    rng: np.random.Generator,
) -> Split:
    """``per_class`` garments a class; ``strength`` of the spurious class has the square, 1 - ``strength`` of the others."""
    split = uncorrelated(images, labels, per_class, rng)
    has_square = np.zeros(len(split["labels"]), bool)
    for y in range(len(CLASS_NAMES)):
        rows = np.flatnonzero(split["labels"] == y)
        share = strength if y == spurious_class else 1 - strength
        has_square[rng.choice(rows, round(share * len(rows)), replace=False)] = True
    return lay_out(split["garments"], split["labels"], has_square, rng)


def write_vocabulary(path: Path) -> None:
    """Cut CLIP's own merge table to its first 2,000 merges."""
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe()) as file:
        lines = file.read().decode("utf-8").split("\n")[: 1 + VOCABULARY_MERGES]
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.write("\n".join(lines).encode("utf-8"))


def new_model(seed: int) -> ClipResNet:
    """The demo's architecture with seeded random weights."""
    torch.manual_seed(seed)
    model = ClipResNet(build_demo(), demo_tokenizer(), "Demo: clean")
    model.visual.to(memory_format=torch.channels_last)
    return model


def pretrain(
    model: ClipResNet, images: np.ndarray, labels: np.ndarray, *, epochs: int, learning_rate: float, seed: int, log
) -> None:
    """Train both towers with the CLIP loss on uncorrelated garments, so that the model knows garment and square.

    Captions come from the fine-tuning and the zero-shot templates; half of those of images with a square name it.
    """
    rng = np.random.default_rng(seed)
    clip = model._clip
    decay = [p for p in clip.parameters() if p.ndim > 1]
    rest = [p for p in clip.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=learning_rate
    )
    batch_size, warmup = 128, 100
    n_steps = epochs * (len(labels) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.5 * (1 + np.cos(np.pi * max(s - warmup, 0) / max(n_steps - warmup, 1)))),
    )
    clip.train()
    step = 0
    templates = CAPTIONS + TEMPLATES
    for epoch in range(epochs):
        layout = lay_out(images, labels, rng.random(len(labels)) < 0.5, rng)
        order = rng.permutation(len(labels))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            picture = compose(images[rows], layout["quadrant"][rows], layout["square"][rows])
            named = (layout["square"][rows] >= 0) & (rng.random(batch_size) < 0.5)
            captions = [
                templates[rng.integers(len(templates))].format(CLASS_NAMES[y])
                + " with a red square" * bool(with_square)
                for y, with_square in zip(labels[rows], named, strict=True)
            ]
            loss = _clip_loss(model, resize(list(picture), model.image_size), captions)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 20 == 0:
                log(f"epoch {epoch} step {step}/{n_steps} loss {loss.item():.3f}")
    clip.eval()


def _clip_loss(model: ClipResNet, pixels: Tensor, captions: list[str]) -> Tensor:
    """Symmetric InfoNCE; a caption that stands more than once in the batch is a positive for all its images."""
    unique = sorted(set(captions))
    tokens = model._tokenizer(unique, context_length=model._clip.context_length)
    text = normalize(model._clip.encode_text(tokens), dim=-1)
    image, _ = model.encode(pixels, None)
    which = torch.tensor([unique.index(caption) for caption in captions])
    logits = image @ text[which].T / TEMPERATURE
    same = (which[:, None] == which[None]).float()
    target = same / same.sum(1, keepdim=True)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


@torch.no_grad()
def accuracy(model: ClipResNet, split: Split) -> float:
    """Zero-shot top-1 accuracy on whole images."""
    classes = class_embeddings(model, CLASS_NAMES, TEMPLATES)
    pictures = compose(split["garments"], split["quadrant"], split["square"])
    hits = 0
    for start in range(0, len(pictures), 256):
        image, _ = model.encode(resize(list(pictures[start : start + 256]), model.image_size), None)
        hits += int(
            (image @ classes.T).argmax(1).eq(torch.from_numpy(split["labels"][start : start + 256].astype(int))).sum()
        )
    return hits / len(pictures)


def save_half(tensors: dict[str, Tensor], path: Path) -> None:
    """fp16 safetensors (integers as they are)."""
    save_file({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in tensors.items()}, str(path))
