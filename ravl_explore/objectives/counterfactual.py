"""Counterfactual regions: break the correlation in the pixels, with the regions that discovery found (our own)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import (
    Batch,
    ClassText,
    EqualCaptions,
    Objective,
    Start,
    Values,
    check_objective,
    restore_state,
    state_of,
)
from ravl_explore.objectives.blending import Blend
from ravl_explore.objectives.donors import Clusters, Donors, From, crops, gathered
from ravl_explore.objectives.editing import Mode, edited
from ravl_explore.objectives.groups import balanced
from ravl_explore.objectives.image_objective import ImageObjective, Run
from ravl_explore.objectives.region_aware import RegionAware
from ravl_explore.objectives.standard import Standard
from ravl_explore.objectives.training_free import TrainingFree
from ravl_explore.support import checks


@dataclass(frozen=True)
class CounterfactualRegions(ImageObjective):
    """Another objective's loss on images whose discovered feature is taken away or put in, each with ``probability``.

    An image with the feature has each of its regions overwritten by a clean, non-core region of another image of the
    batch. An image without gets a crop with the feature, from anywhere in the fine-tuning data, pasted over one of its
    non-core regions. So the feature stops telling the class, while garments, animals or lungs stay as they were. What
    a region shows after that is told to the loss. Not from a paper.

    Parameters
    ----------
    probability : float, 0 to 1
        Of an image being edited, for each feature; 0.5 with ``"swap"`` makes both cases equally common in every class.
    loss : Objective or None
        Scores the edited images; any that takes steps, such as ``RegionAware()``. None is CLIP's loss.
    mode : {"swap", "erase", "paste"}
        ``"swap"`` takes the feature away where it is and puts it in where it is not; ``"erase"`` only the first,
        ``"paste"`` only the second. A model that never sees the feature again keeps its shortcut: after one epoch on
        the ViT demo (4,000 garments beyond the demo's, one seed) the worst group is 58 % with swap, and, at probability
        1, 19 % with paste and 8 % with erase.
    blend : {"none", "feather", "poisson", "features"}
        How a crop's edges meet the picture: as cut; by a ramp within the box; by the crop's gradients on the
        surrounding's color, which loses features that are nothing but color; or mixed in the feature map before layer 4
        and the attention pool, where no edge is seen from outside the box: CLIP's ResNets alone can do that, it takes
        the early layers twice, and what the surroundings have already seen of the feature stays.
    donors : {"any", "typical"}
        Which crops of the feature are pasted: any, or the quarter most similar to its medoid.
    clusters : {"together", "apart"}
        Several chosen clusters are one feature, as where one shortcut was cut into several; or are put in and taken
        away independently of each other.
    upsample : bool
        Whether groups (class, feature present) are drawn equally often before they are edited.
    equal_captions : {"negatives", "positives"}
        For CLIP's loss alone: what equal captions of other images of the batch are. Another ``loss`` has its own.
    """

    probability: float = 0.5
    loss: Objective | None = None
    mode: Mode = "swap"
    blend: Blend = "none"
    donors: From = "any"
    clusters: Clusters = "together"
    upsample: bool = False
    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        checks.number("probability", self.probability, 0, 1, remedy="0.5 makes both cases equally common.")
        checks.flag("upsample", self.upsample)
        if self.loss is not None:
            check_objective(self.loss, "loss")
        checks.one_of("mode", self.mode, ("swap", "erase", "paste"))
        checks.one_of("blend", self.blend, ("none", "feather", "poisson", "features"))
        checks.one_of("donors", self.donors, ("any", "typical"))
        checks.one_of("clusters", self.clusters, ("together", "apart"))
        checks.one_of("equal_captions", self.equal_captions, ("negatives", "positives"))
        if isinstance(self.loss, TrainingFree):
            raise InputError("a loss to train with", f"{self.loss}, which needs no training", "Try RegionAware().")
        if self.blend == "features" and self.uses_relevance:
            raise InputError('blend "none", "feather" or "poisson" with a loss on relevance', "'features'", "Pick one.")
        if self.loss is not None and self.equal_captions != "negatives":
            raise InputError("equal_captions of the loss itself", "it beside a loss", f"Give it to {self.loss}.")

    @classmethod
    def menu(cls) -> dict[str, tuple[()] | tuple[float, Objective]]:
        """Menu label -> constructor arguments."""
        return {"Counterfactual regions": (), "Counterfactual regions + RaVL": (0.5, RegionAware())}

    @property
    def name(self) -> str:
        return "Counterfactual regions" + ("" if self.loss is None else f" + {self.loss.name.split(',')[0]}")

    @property
    def scored_by(self) -> Objective:
        """The loss, CLIP's where none was given."""
        return Standard(self.equal_captions) if self.loss is None else self.loss

    @property
    def uses_regions(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.scored_by.uses_regions

    @property
    def uses_relevance(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.scored_by.uses_relevance

    @property
    def usual_learning_rate(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.scored_by.usual_learning_rate

    @property
    def class_text(self) -> ClassText:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.scored_by.class_text

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return balanced(labels, present) if self.upsample else self.scored_by.sample_weights(labels, present)

    def begin(self, start: Start) -> CounterfactualRun:
        donors = gathered(start, self.donors, self.clusters)
        may_be = self._may_be(start.present, bool(donors))
        return CounterfactualRun(self, donors, self.scored_by.begin(replace(start, may_be=may_be)))

    def _may_be(self, present: np.ndarray, donors: bool) -> np.ndarray:
        """(n_images, 2) whether an image may be seen without the feature, and with it."""
        may_be = np.stack([~present, present], 1)
        if self.probability > 0 and self.mode != "paste":
            may_be[present, 0] = True
        if self.probability > 0 and self.mode != "erase" and donors:
            may_be[~present, 1] = True
        return may_be

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        """With the batch's own regions as donors; a run has those of the whole data."""
        return self.scored_by.edit(
            self.swapped(batch, crops([batch], self.donors, self.clusters), generator), generator
        )

    def swapped(self, batch: Batch, donors: Donors, generator: torch.Generator) -> Batch:
        """The batch with the feature put in and taken away.

        Parameters
        ----------
        batch : Batch
            As the data has it.
        donors : dict of int to list of Tensor
            Crops of every feature.
        generator : torch.Generator
            What is drawn from.
        """
        return edited(batch, donors, generator, self.probability, self.mode, self.blend, self.clusters)

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        return self.scored_by(image, region, batch)


class CounterfactualRun(Run):
    """Counterfactual regions with the donors of one run, and that run's loss.

    Parameters
    ----------
    objective : CounterfactualRegions
        Its settings.
    donors : dict of int to list of Tensor
        Crops of every feature, (3, h, w) each.
    loss : Objective
        Of this run.
    """

    def __init__(self, objective: CounterfactualRegions, donors: Donors, loss: Objective) -> None:
        super().__init__(objective)
        self.settings, self.donors, self.loss = objective, donors, loss

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        return self.loss.edit(self.settings.swapped(batch, self.donors, generator), generator)

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        return self.loss(image, region, batch)

    def state(self) -> dict[str, Tensor]:
        """Of the loss; the donors are gathered anew by ``begin``."""
        return state_of(self.loss)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        restore_state(self.loss, state)
