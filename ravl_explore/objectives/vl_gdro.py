"""VL-GDRO: CLIP's loss, and the classification losses of the groups, each weighted by how badly it has gone so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ravl_explore.objectives.base import Batch, ClassText, EqualCaptions, Start, Values
from ravl_explore.objectives.groups import balanced, group_name
from ravl_explore.objectives.image_objective import ImageObjective, Run
from ravl_explore.objectives.losses import class_losses
from ravl_explore.objectives.shared_options import check_share, check_texts
from ravl_explore.support import checks

MOST_RECORDED = 40  # groups whose weight is kept at every step; SUN397 has 794


@dataclass(frozen=True)
class VlGdro(ImageObjective):
    """L = weight * L_CL + (1 - weight) * sum over groups of q_g l_g: RaVL Appendix D.2, Group DRO (Sagawa et al. 2020).

    Group g is (class, feature present), l_g the mean cross-entropy of softmax(z_I · G(Y) / temperature) over the
    group's images in the batch, 0 without any. Before each step q_g is multiplied by exp(rate * l_g) and q made to sum
    to 1; it starts uniform over the groups that the fine-tuning data has. The update is done on logarithms, so that no
    weight ever becomes 0 or infinite by rounding, and has no gradient. Images without a label are only in L_CL.

    Every run has its own weights: :meth:`begin` makes what a run uses. Called on its own, the objective takes one step
    from weights that are uniform over the groups of the batch.

    Parameters
    ----------
    weight : float, 0 to 1
        Lambda, share of the CLIP loss; 0.8 in the paper.
    rate : float of 0 or more
        Eta, step size of the weights; 0.01, the value of Group DRO's experiments (RaVL names none).
    adjustment : float of 0 or more
        C; adds C / sqrt(n_g) to l_g in the update of q alone, so that small groups, which generalise worse, weigh more;
        0, off, as RaVL does not mention it.
    upsample : bool
        Whether groups are drawn equally often, as in the paper.
    class_text : {"prompts", "names"}
        Class names in the dataset's prompts, so that training sees the classes that zero-shot will use, or bare; the
        paper says "text embeddings of class labels".
    equal_captions : {"negatives", "positives"}
        What equal captions of other images of the batch are; negatives as in CLIP.
    """

    weight: float = 0.8
    rate: float = 0.01
    adjustment: float = 0.0
    upsample: bool = True
    class_text: ClassText = "prompts"
    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        check_share(self.weight)
        for name in ("rate", "adjustment"):
            checks.number(name, getattr(self, name), 0, remedy="Group DRO uses rate=0.01 and adjustment=0.")
        checks.flag("upsample", self.upsample)
        check_texts(self.class_text, self.equal_captions)

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"VL-GDRO, worst groups": ()}

    @property
    def name(self) -> str:
        return "VL-GDRO, worst groups"

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return balanced(labels, present) if self.upsample else None

    def begin(self, start: Start) -> VlGdroRun:
        return VlGdroRun(self, start.group_sizes, start.class_names)

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        labelled = batch.labels >= 0
        n_classes = len(batch.classes)
        group = batch.labels[labelled] * 2 + batch.present[labelled]
        sizes = torch.bincount(group, minlength=2 * n_classes).cpu().numpy()
        return VlGdroRun(self, sizes, tuple(str(y) for y in range(n_classes)))(image, region, batch)


class VlGdroRun(Run):
    """VL-GDRO with the group weights of one run.

    Parameters
    ----------
    objective : VlGdro
        Its settings.
    sizes : int array (2 * n_classes,)
        Images of each group ``2 * label + present`` in the fine-tuning data.
    class_names : tuple of str
        What the classes are called.
    """

    def __init__(self, objective: VlGdro, sizes: np.ndarray, class_names: tuple[str, ...]) -> None:
        super().__init__(objective)
        self.settings = objective
        there = torch.from_numpy(np.asarray(sizes, np.float64)) > 0
        self._names = {int(g): group_name(int(g), class_names) for g in torch.nonzero(there)[:, 0]}
        self._log_q = torch.full((len(sizes),), -math.inf, dtype=torch.float64)
        self._log_q[there] = -math.log(max(int(there.sum()), 1))
        # 1 / sqrt(n_g), finite also for groups that are not there
        self._adjustment = objective.adjustment / torch.from_numpy(np.asarray(sizes, np.float64)).clamp(min=1).sqrt()

    @property
    def group_weights(self) -> dict[str, float]:
        """q by the group's name, as after the latest step; they sum to 1."""
        q = self._log_q.exp()
        return {name: float(q[g]) for g, name in self._names.items()}

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        contrastive, losses = self.contrastive(image, batch), class_losses(image, batch)
        labelled = batch.labels >= 0
        group = batch.labels[labelled] * 2 + batch.present[labelled]
        member = one_hot(group, len(self._log_q))  # not index_add, which sums in any order on a GPU
        of_group = (member * losses[:, None]).sum(0) / member.sum(0).clamp(min=1)
        self._update(of_group.detach())
        q = self._log_q.exp().to(of_group.device, of_group.dtype)
        robust = (q * of_group).sum()
        weight = self.settings.weight
        loss = weight * contrastive + (1 - weight) * robust
        return {"loss": loss, "clip": contrastive, "L_GDRO": robust, **self._details()}

    def _update(self, of_group: Tensor) -> None:
        """One step of log q, kept in float64 on the CPU and normalised each time, so that it never drifts away."""
        if not self._names or not of_group.isfinite().all():  # the trainer stops at a loss that is not finite
            return
        raised = self._log_q + self.settings.rate * (of_group.cpu().double() + self._adjustment)
        self._log_q = raised - raised.logsumexp(0)  # groups that are not there stay at -inf

    def _details(self) -> dict[str, float]:
        weights = self.group_weights
        details = {"q largest": max(weights.values(), default=0.0)}
        if len(weights) <= MOST_RECORDED:
            details |= {f"q {name}": q for name, q in weights.items()}
        return details

    def state(self) -> dict[str, Tensor]:
        return {"log_q": self._log_q.clone()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._log_q = state["log_q"].clone()
