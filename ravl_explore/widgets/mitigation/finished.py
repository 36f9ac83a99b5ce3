"""Finished: what one training in the explorer left, and its comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ravl_explore.comparison import Comparison
from ravl_explore.experiments.cautions import Caution
from ravl_explore.experiments.experiment import Experiment
from ravl_explore.mitigation import Mitigation
from ravl_explore.support.progress import Progress


@dataclass(frozen=True, eq=False)
class Finished:
    """What a training left.

    Attributes
    ----------
    mitigation : Mitigation, the new model
    experiment : Experiment, what it was trained in and is compared on
    comparison : Comparison or None, before and after on the experiment's test data; None when it was not measured
    cautions : tuple[Caution, ...], why the comparison cannot be trusted
    folder : str or None, where the run is kept
    """

    mitigation: Mitigation
    experiment: Experiment
    comparison: Comparison | None = None
    cautions: tuple[Caution, ...] = ()
    folder: str | None = None

    @property
    def caution(self) -> str:
        """The cautions as one text; empty where there is none."""
        return " ".join(caution.text for caution in self.cautions)

    def measured(self, progress: Progress) -> Finished:
        """With both models measured on the test data."""
        comparison = self.experiment.measure(self.mitigation.model, progress)
        return replace(self, comparison=comparison, cautions=self.experiment.cautions_on(comparison.before))
