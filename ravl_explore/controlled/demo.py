"""Builds the embedded demo, data and checkpoints, from raw FashionMNIST: ``python -m ravl_explore.controlled.demo``.

Raw files: Debian's ``dataset-fashion-mnist``, or torchvision's download into the folder named by ``--raw``. Everything
is seeded; on two CPU cores the whole takes about half an hour, most of it pretraining. What ships is what this made.
"""

from __future__ import annotations

import argparse
import gzip
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from ravl_explore.assignment import Assignment
from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, SIDE, TEMPLATES, Demo, compose
from ravl_explore.embedding import embed
from ravl_explore.layout import umap_layout, write_layout
from ravl_explore.mitigation import prepare
from ravl_explore.models.base import TEMPERATURE, resize
from ravl_explore.models.clip_resnet import ClipResNet
from ravl_explore.models.demo import CHECKPOINTS, build_demo, demo_tokenizer
from ravl_explore.models.demo import Demo as DemoModel
from ravl_explore.objectives.standard import Standard
from ravl_explore.training import TrainingSettings, train

logger = logging.getLogger(__name__)

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
VOCABULARY_MERGES = 2000
N_PRETRAIN = 40_000  # of FashionMNIST's 60,000 training images; the rest is for fine-tuning, so that they are disjoint
SPURIOUS_CLASS = "shirt"
STRENGTH = 0.98  # of shirts have the square, and 2% of every other class
PER_CLASS = {"train": 500, "val": 100, "test": 500}
SEEDS = {"pretrain": 0, "val": 1, "test": 1, "train": 2, "fine_tune": 0}

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
    """``per_class`` garments a class; a share ``strength`` of the spurious class has the square, the rest of others."""
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
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.write("\n".join(lines).encode("utf-8"))


def new_model(seed: int) -> ClipResNet:
    """The demo's architecture with seeded random weights."""
    torch.manual_seed(seed)
    model = ClipResNet(build_demo(), demo_tokenizer(), "Demo: clean")
    model.visual.to(memory_format=torch.channels_last)
    return model


def pretrain(
    model: ClipResNet, images: np.ndarray, labels: np.ndarray, *, epochs: int, learning_rate: float, seed: int
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
                logger.info("pretraining epoch %d, step %d of %d: loss %.3f", epoch, step, n_steps, loss.item())
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


def save_half(tensors: dict[str, Tensor], path: Path) -> None:
    """fp16 safetensors (integers as they are)."""
    halves = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in tensors.items()}
    save_file(halves, str(path))


def build_splits(raw: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Split]:
    """The splits that ship: val and test from FashionMNIST's test images, without overlap; train from its last ones."""
    images, labels = raw["t10k"]
    by_class = [np.flatnonzero(labels == y) for y in range(len(CLASS_NAMES))]
    rng = np.random.default_rng(SEEDS["val"])
    splits, start = {}, 0
    for name in ("val", "test"):
        stop = start + PER_CLASS[name]
        rows = np.concatenate([each[start:stop] for each in by_class])
        splits[name] = uncorrelated(images[rows], labels[rows], PER_CLASS[name], rng)
        start = stop
    images, labels = (part[N_PRETRAIN:] for part in raw["train"])
    rng = np.random.default_rng(SEEDS["train"])
    splits["train"] = correlated(images, labels, CLASS_NAMES.index(SPURIOUS_CLASS), PER_CLASS["train"], STRENGTH, rng)
    return splits


def fine_tune(model: ClipResNet) -> ClipResNet:
    """Teach the shortcut: standard fine-tuning on the correlated split, text tower frozen."""
    train_data = Demo("train")
    nothing = np.zeros(4 * len(train_data), bool)
    assert train_data.regions is not None
    assignment = Assignment(train_data.regions, nothing, nothing, np.zeros(len(train_data), bool), None)
    new = model.copy()
    settings = TrainingSettings(seed=SEEDS["fine_tune"])
    for record in train(new, prepare(model, train_data, assignment), Standard(), settings):
        logger.info("fine-tuning step %d of %d: %s", record.step, record.n_steps, record.terms)
    return new


def build(raw_folder: Path, out: Path, steps: tuple[str, ...], epochs: int) -> None:
    """Run the named steps, in order: data, pretrain, fine-tune, layout."""
    out.mkdir(parents=True, exist_ok=True)
    raw = read_raw(raw_folder)
    if "data" in steps:
        write_vocabulary(out / "bpe.txt.gz")
        for name, split in build_splits(raw).items():
            np.savez_compressed(out / f"{name}.npz", **split)  # pyright: ignore[reportArgumentType]
    if "pretrain" in steps:
        model = new_model(SEEDS["pretrain"])
        images, labels = (part[:N_PRETRAIN] for part in raw["train"])
        pretrain(model, images, labels, epochs=epochs, learning_rate=1e-3, seed=SEEDS["pretrain"])
        save_half(model.state_dict, out / "clean.safetensors")
    if "fine-tune" in steps:
        model = fine_tune(DemoModel("clean"))
        visual = {name: tensor for name, tensor in model.state_dict.items() if name.startswith("visual.")}
        save_half(visual, out / "spurious.safetensors")
    if "layout" in steps:
        for checkpoint in CHECKPOINTS:
            embeddings = embed(DemoModel(checkpoint), Demo("val"))
            n_regions, dim = embeddings.region.shape  # the name must begin with these, see layout.py
            path = out / "layouts" / f"{n_regions}x{dim}-{checkpoint}-val.npz"
            write_layout(path, embeddings, umap_layout(embeddings.region, seed=0))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, default=DEBIAN, help="folder with FashionMNIST's four .gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "demo")
    parser.add_argument("--steps", nargs="+", default=["data", "pretrain", "fine-tune", "layout"])
    parser.add_argument("--epochs", type=int, default=4, help="of pretraining")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    build(arguments.raw, arguments.out, tuple(arguments.steps), arguments.epochs)


if __name__ == "__main__":
    main()
