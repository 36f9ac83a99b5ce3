"""Builds the embedded demo, data and checkpoints, from raw FashionMNIST: ``python -m ravl_explore.synthetic.demo``.

Raw files: Debian's ``dataset-fashion-mnist``, or torchvision's download into the folder named by ``--raw``. Everything
is seeded; on two CPU cores the whole takes about half an hour, most of it pretraining. What ships is what this made.

``--architecture vit --steps pretrain fine-tune layout`` then makes the second model from the same data. Its text tower
is the first one's, kept as it was, so that both share one text space and only an image tower is stored.
"""

from __future__ import annotations

import argparse
import gzip
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, SIDE, TEMPLATES, Demo, compose
from ravl_explore.embedding.embeddings import embed
from ravl_explore.mitigation import prepare
from ravl_explore.mitigation.validation import validator
from ravl_explore.models.base import TEMPERATURE, resize
from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD, ClipModel
from ravl_explore.models.demo import ARCHITECTURE, VIT_ARCHITECTURE, build_demo, demo_tokenizer
from ravl_explore.models.demo import Demo as DemoModel
from ravl_explore.objectives.standard import Standard
from ravl_explore.plots.layout import umap_layout, write_layout
from ravl_explore.training import TrainingSettings, train

logger = logging.getLogger(__name__)

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
VOCABULARY_MERGES = 2000
N_PRETRAIN = 40_000  # of FashionMNIST's 60,000 training images; the rest is for fine-tuning, so that they are disjoint
SPURIOUS_CLASS = "shirt"
STRENGTH = 0.98  # of shirts have the square, and 2% of every other class
PER_CLASS = {"train": 500, "val": 100, "test": 500}
WITH_SQUARE = " with a red square"
SEEDS = {"pretrain": 0, "val": 1, "test": 1, "train": 2, "fine_tune": 0}

Split = dict[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """How one of the demo's models is made.

    Attributes
    ----------
    architecture : open_clip's name of its configuration
    prefix : of its checkpoints' names
    epochs, warmup : of pretraining; learning rate 1e-3 with a cosine schedule, batches of 128
    own_text : train a text tower too; False takes the clean ResNet demo's and freezes it
    whole : in how many of the epochs, the last ones, a ViT sees all patches; before, the garment's and few others
    fine_tuning : how the shortcut is taught
    """

    architecture: str
    prefix: str
    epochs: int
    warmup: int
    own_text: bool = True
    whole: int | None = None
    fine_tuning: TrainingSettings = field(default_factory=lambda: TrainingSettings(seed=SEEDS["fine_tune"]))


RECIPES = {
    "resnet": Recipe(ARCHITECTURE, "", epochs=4, warmup=100),
    "vit": Recipe(VIT_ARCHITECTURE, "vit-", epochs=8, warmup=200, own_text=False, whole=1),
}
OTHER_PATCHES = 2  # kept of each quadrant without the garment, of 16: enough to see the square, a third of the tokens


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


def new_model(recipe: Recipe, seed: int) -> ClipModel:
    """The demo's architecture with seeded random weights, the text tower's too unless it is the clean ResNet demo's."""
    torch.manual_seed(seed)
    clip = build_demo(recipe.architecture)
    if not recipe.own_text:
        text = {name: each for name, each in DemoModel("clean").state_dict.items() if not name.startswith("visual.")}
        clip.load_state_dict(text, strict=False)
    if recipe.whole is not None:
        start_positions(clip.visual)
    model = ClipModel(clip, demo_tokenizer(), f"Demo: {recipe.prefix}clean")
    model.visual.to(memory_format=torch.channels_last)
    return model


@torch.no_grad()
def start_positions(visual: Any) -> None:
    """Add sines and cosines of the place within the quadrant to a ViT's positions, so that all quadrants start alike.

    What is learned from a garment in one quadrant then helps in the others.
    """
    rows, columns = visual.grid_size
    y, x = np.divmod(np.arange(rows * columns), columns)
    n = visual.positional_embedding.shape[1] // 4
    angles = np.concatenate(
        [np.outer(place, 10.0 ** -(np.arange(n) / n)) for place in (y % (rows // 2), x % (columns // 2))], 1
    )
    waves = 0.5 * np.concatenate([np.sin(angles), np.cos(angles)], 1)
    visual.positional_embedding[1:] += torch.from_numpy(waves).float()


def pretrain(
    model: ClipModel,
    images: UInt8[np.ndarray, "n 28 28"],
    labels: Int[np.ndarray, " n"],
    recipe: Recipe,
    *,
    learning_rate: float,
    seed: int,
    validate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Train with the CLIP loss on uncorrelated garments, so that the model knows garment and square.

    Captions come from the fine-tuning and the zero-shot templates; half of those of images with a square name it.
    A frozen text tower is asked once for all of them, and then every caption that is true of an image is a positive.
    ``validate`` is logged after each epoch.
    """
    rng = np.random.default_rng(seed)
    clip = model._clip
    trained: nn.Module = clip if recipe.own_text else clip.visual
    frozen = None if recipe.own_text else _FrozenText(model)
    decay = [p for p in trained.parameters() if p.ndim > 1]
    rest = [p for p in trained.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=learning_rate
    )
    batch_size, warmup = 128, recipe.warmup
    n_steps = recipe.epochs * (len(labels) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.5 * (1 + np.cos(np.pi * max(s - warmup, 0) / max(n_steps - warmup, 1)))),
    )
    step = 0
    templates = CAPTIONS + TEMPLATES
    for epoch in range(recipe.epochs):
        trained.train()
        layout = lay_out(images, labels, rng.random(len(labels)) < 0.5, rng)
        order = rng.permutation(len(labels))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            has_square = layout["square"][rows] >= 0
            pixels = resize(
                list(compose(images[rows], layout["quadrant"][rows], layout["square"][rows])), model.image_size
            )
            if recipe.whole is not None and epoch < recipe.epochs - recipe.whole:
                image = _encode_some(model, pixels, layout["quadrant"][rows], rng)
            else:
                image, _ = model.encode(pixels, None)
            if frozen is None:
                named = has_square & (rng.random(batch_size) < 0.5)
                captions = [
                    templates[rng.integers(len(templates))].format(CLASS_NAMES[y]) + WITH_SQUARE * bool(with_square)
                    for y, with_square in zip(labels[rows], named, strict=True)
                ]
                loss = _clip_loss(model, image, captions)
            else:
                loss = frozen.loss(image, labels[rows], has_square)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 20 == 0:
                logger.info("pretraining epoch %d, step %d of %d: loss %.3f", epoch, step, n_steps, loss.item())
        trained.eval()
        if validate is not None:
            logger.info("pretraining epoch %d: on val %s", epoch, validate())


class _FrozenText:
    """All captions of pretraining, embedded once, and how probable each is for an image of a class (and a square)."""

    def __init__(self, model: ClipModel) -> None:
        templates = CAPTIONS + TEMPLATES
        captions = [t.format(name) + end for name in CLASS_NAMES for end in ("", WITH_SQUARE) for t in templates]
        self._embeddings = model.embed_text(captions)
        probable = np.zeros((len(CLASS_NAMES), 2, len(CLASS_NAMES), 2, len(templates)), np.float32)
        for y in range(len(CLASS_NAMES)):
            probable[y, 0, y, 0] = 1 / len(templates)
            probable[y, 1, y] = 1 / (2 * len(templates))
        self._probable = torch.from_numpy(probable.reshape(len(CLASS_NAMES), 2, -1))

    def loss(self, image: Tensor, labels: Int[np.ndarray, " b"], has_square: Bool[np.ndarray, " b"]) -> Tensor:
        """Cross-entropy of each image over all captions."""
        logits = image @ self._embeddings.T / TEMPERATURE
        return cross_entropy(logits, self._probable[labels.astype(np.int64), has_square.astype(np.int64)])


def _encode_some(
    model: ClipModel, pixels: Float[Tensor, "b 3 s s"], quadrant: Int[np.ndarray, " b"], rng: np.random.Generator
) -> Float[Tensor, "b dim"]:
    """Image embeddings of a ViT that sees the garment's quadrant and ``OTHER_PATCHES`` of each other one at random.

    Patch dropout makes training cheaper (FLIP, arXiv 2212.00794); here it spares what tells the classes apart.
    """
    visual: Any = model.visual
    rows, columns = visual.grid_size
    y, x = np.divmod(np.arange(rows * columns), columns)
    patch_quadrant = (2 * y // rows) * 2 + 2 * x // columns
    noise = rng.random((len(pixels), rows * columns)) - (patch_quadrant == quadrant[:, None])
    kept = noise < 0  # all of the garment's
    for corner in range(4):
        members = np.flatnonzero(patch_quadrant == corner)
        first = np.argsort(noise[:, members], axis=1)[:, :OTHER_PATCHES]
        np.put_along_axis(kept, members[first], True, axis=1)
    keep = torch.from_numpy(np.nonzero(kept)[1].reshape(len(pixels), -1))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
    visual.patch_dropout = _Kept(keep)
    embedded = visual((pixels - mean) / std)
    visual.patch_dropout = nn.Identity()
    return normalize(embedded, dim=-1)


class _Kept(nn.Module):
    """In place of open_clip's patch dropout: the class token and chosen patches, (b, n_kept)."""

    def __init__(self, keep: Int[Tensor, "b k"]) -> None:
        super().__init__()
        self._keep = keep

    def forward(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b m width"]:
        return torch.cat([tokens[:, :1], tokens[:, 1:][torch.arange(len(tokens))[:, None], self._keep]], dim=1)


def _clip_loss(model: ClipModel, image: Tensor, captions: list[str]) -> Tensor:
    """Symmetric InfoNCE; a caption that stands more than once in the batch is a positive for all its images."""
    unique = sorted(set(captions))
    tokens = model._tokenizer(unique, context_length=model._clip.context_length)
    text = normalize(model._clip.encode_text(tokens), dim=-1)
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


def fine_tune(model: ClipModel, settings: TrainingSettings, train_data: ArrayDataset | None = None) -> ClipModel:
    """Teach the shortcut: standard fine-tuning on the demo's correlated split, or another; text tower frozen."""
    train_data = Demo("train") if train_data is None else train_data
    nothing = np.zeros(4 * len(train_data), bool)
    assert train_data.regions is not None
    assignment = Assignment(train_data.regions, nothing, nothing, np.zeros(len(train_data), bool), None)
    new = model.copy()
    for record in train(new, prepare(model, train_data, assignment), Standard(), settings):
        logger.info("fine-tuning step %d of %d: %s", record.step, record.n_steps, record.terms)
    return new


def build(raw_folder: Path, out: Path, steps: tuple[str, ...], recipe: Recipe) -> None:
    """Run the named steps, in order: data, pretrain, fine-tune, layout."""
    out.mkdir(parents=True, exist_ok=True)
    raw = read_raw(raw_folder)
    if "data" in steps:
        write_vocabulary(out / "bpe.txt.gz")
        for name, split in build_splits(raw).items():
            np.savez_compressed(out / f"{name}.npz", **split)  # pyright: ignore[reportArgumentType]
    if "pretrain" in steps:
        model = new_model(recipe, SEEDS["pretrain"])
        images, labels = (part[:N_PRETRAIN] for part in raw["train"])
        val = Demo("val")
        pretrain(
            model,
            images,
            labels,
            recipe,
            learning_rate=1e-3,
            seed=SEEDS["pretrain"],
            validate=validator(model, val, val.feature_present) if not recipe.own_text else None,
        )
        whole = model.state_dict if recipe.own_text else _visual(model)
        save_half(whole, out / f"{recipe.prefix}clean.safetensors")
    if "fine-tune" in steps:
        model = fine_tune(DemoModel(f"{recipe.prefix}clean"), recipe.fine_tuning)
        save_half(_visual(model), out / f"{recipe.prefix}spurious.safetensors")
    if "layout" in steps:
        for checkpoint in (f"{recipe.prefix}spurious", f"{recipe.prefix}clean"):
            embeddings = embed(DemoModel(checkpoint), Demo("val"))
            n_regions, dim = embeddings.region.shape  # the name must begin with these, see layout.py
            path = out / "layouts" / f"{n_regions}x{dim}-{checkpoint}-val.npz"
            write_layout(path, embeddings, umap_layout(embeddings.region, seed=0))


def _visual(model: ClipModel) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict.items() if name.startswith("visual.")}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, default=DEBIAN, help="folder with FashionMNIST's four .gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "demo")
    parser.add_argument("--steps", nargs="+", default=["data", "pretrain", "fine-tune", "layout"])
    parser.add_argument("--architecture", choices=list(RECIPES), default="resnet")
    parser.add_argument("--epochs", type=int, help="of pretraining, if not the recipe's")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = RECIPES[arguments.architecture]
    if arguments.epochs is not None:
        recipe = replace(recipe, epochs=arguments.epochs)
    build(arguments.raw, arguments.out, tuple(arguments.steps), recipe)


if __name__ == "__main__":
    main()
