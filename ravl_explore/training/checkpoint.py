"""Checkpoint: all that the next step depends on, in one safetensors file with one JSON text, so that no part is older.

Best weights are in the same file for that reason: in one of their own they could be of a step that a resumed run has
not taken yet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ravl_explore.errors import RavlError, StorageError
from ravl_explore.support.json_values import as_json
from ravl_explore.support.sealing import check_seal, sealed
from ravl_explore.training.history import StepRecord, StoredStep

FORMAT = "ravl_explore checkpoint 1"


class StoredProgress(TypedDict):
    """How far a training is, as JSON.

    Attributes
    ----------
    step : int
        Steps that were taken.
    complete : bool
        Whether it came to its planned end.
    shuffling, scaler : dict of str to object
        States of the random generator of the images' order, and of the loss's scaler.
    waited : int
        Validations since the best one.
    best : tuple of int and float, or None
        The step of the best validation, and its value.
    records : list of StoredStep
        One a step.
    """

    step: int
    complete: bool
    shuffling: dict[str, object]
    scaler: dict[str, object]
    waited: int
    best: tuple[int, float] | None
    records: list[StoredStep]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by group and name, and plain values.

    Attributes
    ----------
    tensors : dict of str to Tensor
        By ``"group/name"``; groups are weights, optimizer, objective, best, random and order.
    meta : StoredProgress
        All else.
    """

    tensors: dict[str, Tensor]
    meta: StoredProgress

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors of the group ``name``, by their names within it."""
        return {key[len(name) + 1 :]: tensor for key, tensor in self.tensors.items() if key.startswith(f"{name}/")}

    def to_bytes(self) -> bytes:
        """As a safetensors file with a checksum."""
        tensors = {key: value.detach().cpu().contiguous() for key, value in self.tensors.items()}
        return sealed(save(tensors, {"format": FORMAT, "meta": as_json(self.meta)}))

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read what :meth:`to_bytes` gave.

        Parameters
        ----------
        path : Path
            Of the file.

        Raises
        ------
        StorageError
            When it is damaged or of another version.
        """
        with told_as_damage(path), safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") == FORMAT:
                check_seal(path)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return cls(tensors, json.loads(header["meta"]))
        raise StorageError(
            f"a checkpoint of a run folder ({FORMAT})",
            f"{str(path)!r} with format {header.get('format')!r}",
            "Choose another folder.",
        )


@contextmanager
def told_as_damage(path: Path) -> Iterator[None]:
    """Turn what a checkpoint raises that is not what it says it is into a StorageError."""
    try:
        yield
    except (RavlError, torch.OutOfMemoryError):
        raise
    except (
        SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError,
    ) as error:  # fmt: skip
        raise StorageError(
            "a complete checkpoint", f"{str(path)!r} ({error})", "Delete it to train from the start."
        ) from error


def check_progress(
    stored: Checkpoint, n_steps: int, steps_per_epoch: int, n_images: int, patience: int | None
) -> list[StepRecord]:
    """The records of a checkpoint, which must be one of such a training.

    Parameters
    ----------
    stored : Checkpoint
        As it was read.
    n_steps, steps_per_epoch, n_images : int
        Of the training that goes on with it.
    patience : int or None
        Of its settings.

    Raises
    ------
    ValueError, TypeError, LookupError, AttributeError
        When it cannot be: of a step that such a training never takes, of other images, or without what it speaks of.
    """
    meta = stored.meta
    step, waited, best, complete = meta["step"], meta["waited"], meta["best"], meta["complete"]
    _check(_is_count(step) and 1 <= step <= n_steps, f"step {step!r} of {n_steps}")
    _check(_is_count(waited), f"{waited!r} validations waited")
    _check(complete is (step == n_steps or (patience is not None and waited >= patience)), f"complete {complete!r}")
    records = [StepRecord.from_json(record) for record in meta["records"]]
    _check(
        [record.step for record in records] == list(range(1, step + 1)), f"records of {len(records)} steps for {step}"
    )
    for one in records:
        numbers = [one.seconds, *one.terms.values(), *one.validation.values(), *one.details.values()]
        _check(one.n_steps == n_steps and _is_count(one.epoch), f"a record of step {one.step} of {one.n_steps}")
        _check(all(isinstance(number, float) for number in numbers), f"a record of step {one.step} without numbers")
    if best is not None:
        _check(_is_count(best[0]) and 1 <= best[0] <= step and math.isfinite(best[1]), f"the best step {best!r}")
    _check((best is not None) == bool(stored.group("best")), "the best weights")
    order = stored.group("order")["images"]
    _check(order.dtype == torch.int64 and order.ndim == 1, f"an order of {order.dtype}")
    _check(not len(order) or bool((order >= 0).all() and (order < n_images).all()), "an order of other images")
    _check(step % steps_per_epoch == 0 or len(order) == n_images, f"an order of {len(order)} images")
    return records


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser, by place of the weight and name: ``"0/exp_avg"``."""
    state = optimizer.state_dict()["state"]
    return {f"{place}/{name}": value for place, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        AdamW of the same weights.
    tensors : mapping of str to Tensor
        What it is to hold.

    Raises
    ------
    ValueError
        When they were of other weights.
    """
    stored = optimizer.state_dict()
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, name = key.split("/")
        _check(0 <= int(place) < len(weights), f"an optimiser's state of weight {place}")
        _check(value.shape in (weights[int(place)].shape, ()), f"an optimiser's state of shape {tuple(value.shape)}")
        state.setdefault(int(place), {})[name] = value
    _check(
        all(each.keys() == {"step", "exp_avg", "exp_avg_sq"} for each in state.values()), "half an optimiser's state"
    )
    optimizer.load_state_dict(stored | {"state": state})


def restore_weights(visual: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load an image tower's weights.

    Parameters
    ----------
    visual : nn.Module
        The image tower.
    tensors : mapping of str to Tensor
        Its weights, by their names in ``state_dict``.
    origin : str
        Where they are from, for the error.

    Raises
    ------
    StorageError
        When they are of another architecture; it names what differs.
    """
    check_shapes(visual.state_dict(), tensors, origin)
    visual.load_state_dict(dict(tensors))


def check_shapes(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], origin: str) -> None:
    """Raise StorageError that names what differs when stored tensors cannot take the place of others.

    Parameters
    ----------
    own, stored : mapping of str to Tensor
        Those that are there, and those that are to take their place.
    origin : str
        Where the stored ones are from.
    """
    wrong = [f"{key} is missing" for key in own if key not in stored]
    wrong += [f"{key} is unknown" for key in stored if key not in own]
    wrong += [
        f"{key} is {tuple(stored[key].shape)} there, {tuple(value.shape)} here"
        for key, value in own.items()
        if key in stored and stored[key].shape != value.shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise StorageError(
            "a checkpoint of this model's architecture",
            f"{origin!r}, where {'; '.join(wrong[:3])}{more}",
            "Continue with the model that was trained, or choose another folder.",
        )


def _check(fits: bool, came: str) -> None:
    if not fits:
        raise ValueError(came)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
