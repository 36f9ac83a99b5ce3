"""Patience: the weights that did best in validation, and when nothing better is to be waited for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ravl_explore.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class Best:
    """The weights that did best in validation.

    Attributes
    ----------
    step : int
        After which they were validated.
    value : float
        Of what was watched.
    weights : dict of str to Tensor
        Of the image tower, on the CPU.
    """

    step: int
    value: float
    weights: dict[str, Tensor]


class Patience:
    """Watches what is validated, where ``settings.patience`` is set.

    Parameters
    ----------
    settings : TrainingSettings
        ``patience`` and ``monitor``.

    Attributes
    ----------
    best : Best or None
        None before the first validation, and without patience.
    waited : int
        Validations since then.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self.best: Best | None = None
        self.waited = 0

    def runs_out(self, step: int, measured: Mapping[str, float], visual: nn.Module) -> bool:
        """Keep the weights if they are the best so far; whether training should stop.

        Parameters
        ----------
        step : int
            The one that was taken.
        measured : mapping of str to float
            What was validated after it; empty where nothing was.
        visual : nn.Module
            The image tower.

        Raises
        ------
        InputError
            When what is watched was not measured.
        """
        if self._settings.patience is None or not measured:
            return False
        value = measured.get(self._settings.monitor, math.nan)
        if math.isnan(value):
            raise self._settings.nothing_to_go_by()
        if self.best is None or value > self.best.value:
            weights = {name: tensor.detach().cpu().clone() for name, tensor in visual.state_dict().items()}
            self.best, self.waited = Best(step, value, weights), 0
            return False
        self.waited += 1
        return self.waited >= self._settings.patience
