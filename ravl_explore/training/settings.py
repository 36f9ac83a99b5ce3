"""TrainingSettings: how long, how fast, in what pieces and at what precision to fine-tune, and when to stop early."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import LEARNING_RATE
from ravl_explore.support import checks

WARMUP_STEPS = 20  # measured on the demo: without warm-up the first steps at 5e-4 overshoot
WEIGHT_DECAY = 0.01
MOST = 1_000_000  # epochs, images of a batch and the like: more has no end, or no room in memory
Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["float32", "bfloat16", "float16"]
Monitor = Literal["worst_group", "accuracy"]


@dataclass(frozen=True)
class TrainingSettings:
    """How to fine-tune; every objective is trained with the same.

    Parameters
    ----------
    epochs : int of 1 or more
        Passes over the images.
    learning_rate : float between 0 and 1
        Of AdamW, at its highest.
    batch_size : int of 2 or more
        Images that are compared with each other, at most: an epoch is cut into as few batches of one size (or one less)
        as this allows, so that no small last one pulls at the full rate.
    seed : int of 0 or more
        Of the images' order, the objective's draws and the tower's dropout.
    freeze_batch_norm : bool
        Keep BatchNorm's running statistics as they are, and normalise by them.
    schedule : {"cosine", "linear", "constant"}
        The learning rate falls to 0 as half a cosine or along a line, or is constant.
    warmup_steps : int of 0 or more
        Over which the learning rate first rises from almost 0; 0 for none.
    weight_decay : float from 0 to below 1
        Of AdamW.
    accumulate : int of 1 or more
        Batches whose gradients are averaged for one optimiser step. Contrastive terms still compare within one batch,
        so this saves memory but is not the same as a larger ``batch_size``.
    precision : {"float32", "bfloat16", "float16"}
        Of forward and backward, under autocast where it is less than 32 bits; float16 on GPUs only, with scaled
        gradients. Weights and losses stay in float32.
    region_chunk : int of 1 or more, or None
        At most so many regions (whole images count as one each) are embedded at once, and embedded again for their
        gradient, so that 128 images with 100 regions fit in memory; costs about a third more time. None: all at once.
        Gradients are the same up to rounding.
    patience : int of 1 or more, or None
        Stop after so many validations without a better ``monitor``, and give back the weights of the best one; None
        takes every step and gives the last weights. Needs validation images.
    monitor : {"worst_group", "accuracy"}
        Which validated value counts.
    """

    epochs: int = 3
    learning_rate: float = LEARNING_RATE
    batch_size: int = 128
    seed: int = 0
    freeze_batch_norm: bool = True
    schedule: Schedule = "cosine"
    warmup_steps: int = WARMUP_STEPS
    weight_decay: float = WEIGHT_DECAY
    accumulate: int = 1
    precision: Precision = "float32"
    region_chunk: int | None = None
    patience: int | None = None
    monitor: Monitor = "worst_group"

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 2, "warmup_steps": 0, "accumulate": 1, "region_chunk": 1, "patience": 1}
        given = {name: getattr(self, name) for name in vars(self)}
        usual = "Try 5e-4, or 5e-6 for a large model."
        plain: dict[str, float] = {  # as Python's own numbers, which a file can hold
            "seed": checks.seed("seed", self.seed),
            "learning_rate": checks.number("learning_rate", self.learning_rate, above=0, below=1, remedy=usual),
            "weight_decay": checks.number("weight_decay", self.weight_decay, 0, below=1, remedy="0.01 is usual."),
            "freeze_batch_norm": checks.flag("freeze_batch_norm", self.freeze_batch_norm),
        }
        for name, smallest in least.items():
            if given[name] is not None or name not in ("region_chunk", "patience"):
                plain[name] = checks.whole(name, given[name], smallest, MOST, f"Try {name}={max(smallest, 1)}.")
        for name, choices in (("schedule", Schedule), ("precision", Precision), ("monitor", Monitor)):
            checks.one_of(name, given[name], get_args(choices))
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if self.region_chunk is not None and not self.freeze_batch_norm:
            raise InputError(
                "freeze_batch_norm=True with region_chunk",
                "freeze_batch_norm=False",
                "BatchNorm would see each chunk as a batch of its own: freeze it, or leave region_chunk out.",
            )

    def nothing_to_go_by(self) -> InputError:
        """What is raised when ``patience`` is set and the validation images have no ``monitor``."""
        return InputError(
            f"a {self.monitor} of the validation images to go by",
            "none",
            "Use monitor='accuracy', or validation images with at least 10 in a group.",
        )

    def scale(self, step: int, n_steps: int) -> float:
        """What the learning rate is multiplied by at a step.

        Parameters
        ----------
        step : int
            Counted from 0.
        n_steps : int
            Of the whole training.

        Examples
        --------
        >>> [TrainingSettings(schedule="linear", warmup_steps=2).scale(step, 4) for step in range(4)]
        [0.5, 0.75, 0.5, 0.25]
        """
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * step / n_steps))
        return warm * (1 - step / n_steps) if self.schedule == "linear" else warm
