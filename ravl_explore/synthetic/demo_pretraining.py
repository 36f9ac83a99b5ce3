"""Pretraining the demo's models, until they know garments and the square, each by its recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, TEMPLATES, compose
from ravl_explore.models.base import TEMPERATURE, resize
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.models.demo import ARCHITECTURE, VIT_ARCHITECTURE, build_demo, demo_tokenizer
from ravl_explore.models.demo import Demo as DemoModel
from ravl_explore.synthetic.demo_patches import encode_some
from ravl_explore.synthetic.demo_splits import SEEDS, lay_out
from ravl_explore.training import TrainingSettings

logger = logging.getLogger(__name__)

WITH_SQUARE = " with a red square"


@dataclass(frozen=True)
class Recipe:
    """How one of the demo's models is made.

    Attributes
    ----------
    architecture : str
        open_clip's name of its configuration.
    prefix : str
        Of its checkpoints' names.
    epochs, warmup : int
        Of pretraining; learning rate 1e-3 with a cosine schedule, batches of 128.
    own_text : bool
        Train a text tower too; False takes the clean ResNet demo's and freezes it.
    whole : int | None
        In how many of the epochs, the last ones, a ViT sees all patches; before, the garment's and few others.
    fine_tuning : TrainingSettings
        How the shortcut is taught.
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
    """The demo's architecture with seeded random weights, the text tower's too unless it is the clean ResNet demo's.

    Parameters
    ----------
    recipe : Recipe
        How the model is made.
    seed : int
        Same seed, same result.
    """
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

    Parameters
    ----------
    visual : VisionTransformer
        The ViT, changed in place.
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

    Parameters
    ----------
    model : ClipModel
        Changed in place.
    images : UInt8[np.ndarray, "n 28 28"]
        Garments, 0 to 255.
    labels : Int[np.ndarray, "n"]
        Class of each garment.
    recipe : Recipe
        How the model is made.
    learning_rate : float
        The highest, after warming up.
    seed : int
        Same seed, same result.
    validate : Callable[[], dict[str, float]], optional
        Gives numbers to log after each epoch.
    """
    rng = np.random.default_rng(seed)
    clip = model._clip
    trained: nn.Module = clip if recipe.own_text else clip.visual
    frozen = None if recipe.own_text else FrozenText(model)
    batch_size = 128
    n_steps = recipe.epochs * (len(labels) // batch_size)
    optimizer, schedule = _optimizer(trained, recipe, learning_rate, n_steps)
    step = 0
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
                loss = _clip_loss(model, image, _captions(labels[rows], has_square, rng))
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


def _optimizer(
    trained: nn.Module, recipe: Recipe, learning_rate: float, n_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW, decaying all but biases and norms, with a warm-up and a cosine schedule."""
    decay = [p for p in trained.parameters() if p.ndim > 1]
    rest = [p for p in trained.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=learning_rate
    )
    warmup = recipe.warmup
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.5 * (1 + np.cos(np.pi * max(s - warmup, 0) / max(n_steps - warmup, 1)))),
    )


def _captions(labels: Int[np.ndarray, " b"], has_square: Bool[np.ndarray, " b"], rng: np.random.Generator) -> list[str]:
    """A caption of each image, at random; half of those with a square name it."""
    templates = CAPTIONS + TEMPLATES
    named = has_square & (rng.random(len(labels)) < 0.5)
    return [
        templates[rng.integers(len(templates))].format(CLASS_NAMES[y]) + WITH_SQUARE * bool(with_square)
        for y, with_square in zip(labels, named, strict=True)
    ]


class FrozenText:
    """All captions of pretraining, embedded once, and how probable each is for an image of a class (and a square).

    Parameters
    ----------
    model : ClipModel
        Whose text tower embeds the captions.
    """

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
        """Cross-entropy of each image over all captions.

        Parameters
        ----------
        image : Tensor
            Unit-norm image embeddings.
        labels : Int[np.ndarray, "b"]
            Class of each image.
        has_square : Bool[np.ndarray, "b"]
            Whether each image shows the square.
        """
        logits = image @ self._embeddings.T / TEMPERATURE
        return cross_entropy(logits, self._probable[labels.astype(np.int64), has_square.astype(np.int64)])


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
