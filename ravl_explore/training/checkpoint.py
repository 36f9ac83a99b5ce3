"""Checkpoint: all that the next step depends on, in one safetensors file with one JSON text, so that no part is older.

Best weights are in the same file for that reason: in one of their own they could be of a step that a resumed run has
not taken yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ravl_explore.errors import StorageError

FORMAT = "ravl_explore checkpoint 1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by group and name, and plain JSON values.

    Attributes
    ----------
    tensors : "group/name" -> tensor; groups are weights, optimizer, objective, best, random, order
    meta : step, records, and whatever else is plain
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors of one group, by their names within it."""
        return {key[len(name) + 1 :]: value for key, value in self.tensors.items() if key.startswith(f"{name}/")}

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {key: value.detach().cpu().contiguous() for key, value in self.tensors.items()}
        return save(tensors, {"format": FORMAT, "meta": json.dumps(self.meta)})

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read what :meth:`to_bytes` gave; StorageError when it is damaged or of another version."""
        try:
            with safe_open(str(path), framework="pt") as file:
                header = file.metadata() or {}
                if header.get("format") == FORMAT:
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                    return cls(tensors, json.loads(header["meta"]))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise StorageError(
                "a complete checkpoint", f"{str(path)!r} ({error})", "Delete it to train from the start."
            ) from error
        raise StorageError(
            f"a checkpoint of a run folder ({FORMAT})",
            f"{str(path)!r} with format {header.get('format')!r}",
            "Choose another folder.",
        )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as "place of the weight/name" -> tensor."""
    state = optimizer.state_dict()["state"]
    return {f"{place}/{name}": value for place, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave."""
    stored = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, name = key.split("/")
        state.setdefault(int(place), {})[name] = value
    optimizer.load_state_dict(stored | {"state": state})


def restore_weights(visual: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load an image tower's weights; StorageError that names what differs when they are of another architecture."""
    own = visual.state_dict()
    wrong = [f"{key} is missing" for key in own if key not in tensors]
    wrong += [f"{key} is unknown" for key in tensors if key not in own]
    wrong += [
        f"{key} is {tuple(tensors[key].shape)} there, {tuple(value.shape)} here"
        for key, value in own.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise StorageError(
            "a checkpoint of this model's architecture",
            f"{origin!r}, where {'; '.join(wrong[:3])}{more}",
            "Continue with the model that was trained, or choose another folder.",
        )
    visual.load_state_dict(dict(tensors))
