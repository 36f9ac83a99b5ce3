"""Pretraining the demo's models, until they know garments and the square, each by its recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, TEMPLATES, compose
from ravl_explore.models.base import TEMPERATURE, resize
from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD, ClipModel
from ravl_explore.models.demo import ARCHITECTURE, VIT_ARCHITECTURE, build_demo, demo_tokenizer
from ravl_explore.models.demo import Demo as DemoModel
from ravl_explore.synthetic.demo_splits import SEEDS, lay_out
from ravl_explore.training import TrainingSettings

logger = logging.getLogger(__name__)

WITH_SQUARE = " with a red square"
OTHER_PATCHES = 2  # kept of each quadrant without the garment, of 16: enough to see the square, a third of the tokens


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


def new_model(recipe: Recipe, seed: int) -> ClipModel:
    """The demo's architecture with seeded random weights, the text tower's too unless it is the clean ResNet demo's."""
    torch.manual_seed(seed)
    clip = build_demo(recipe.architecture)
    if not recipe.own_text:
        text = {name: each for name, each in DemoModel("clean").state_dict.items() if not name.startswith("visual.")}
        clip.load_state_dict(text, strict=False)
    if recipe.whole is not None:
        assert isinstance(clip.visual, VisionTransformer)  # of recipes that leave patches out
        start_positions(clip.visual)
    model = ClipModel(clip, demo_tokenizer(), f"Demo: {recipe.prefix}clean")
    model.visual.to(memory_format=torch.channels_last)
    return model


@torch.no_grad()
def start_positions(visual: VisionTransformer) -> None:
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
    frozen = None if recipe.own_text else FrozenText(model)
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
                image = encode_some(model, pixels, layout["quadrant"][rows], rng)
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


class FrozenText:
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


def encode_some(
    model: ClipModel, pixels: Float[Tensor, "b 3 s s"], quadrant: Int[np.ndarray, " b"], rng: np.random.Generator
) -> Float[Tensor, "b dim"]:
    """Image embeddings of a ViT that sees the garment's quadrant and ``OTHER_PATCHES`` of each other one at random.

    Patch dropout makes training cheaper (FLIP, arXiv 2212.00794); here it spares what tells the classes apart.
    """
    visual = model.visual
    assert isinstance(visual, VisionTransformer)
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
    visual.register_module("patch_dropout", Kept(keep))
    embedded = visual((pixels - mean) / std)
    visual.patch_dropout = nn.Identity()
    return normalize(embedded, dim=-1)


class Kept(nn.Module):
    """In place of open_clip's patch dropout: the class token and chosen patches, (b, n_kept)."""

    def __init__(self, keep: Int[Tensor, "b k"]) -> None:
        super().__init__()
        self._keep = keep

    def forward(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b m width"]:
        return torch.cat([tokens[:, :1], tokens[:, 1:][torch.arange(len(tokens))[:, None], self._keep]], dim=1)


def _clip_loss(model: ClipModel, image: Tensor, captions: list[str]) -> Tensor:
    """Symmetric InfoNCE; a caption that stands more than once in the batch is a positive for all its images."""
    unique = sorted(set(captions))
    tokens = model.tokens(unique)
    text = normalize(model._clip.encode_text(tokens), dim=-1)
    which = torch.tensor([unique.index(caption) for caption in captions])
    logits = image @ text[which].T / TEMPERATURE
    same = (which[:, None] == which[None]).float()
    target = same / same.sum(1, keepdim=True)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
