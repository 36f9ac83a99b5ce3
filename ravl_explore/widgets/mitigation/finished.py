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
    mitigation : Mitigation
        The new model.
    experiment : Experiment
        What it was trained in and is compared on.
    comparison : Comparison or None
        Before and after on the experiment's test data; None when it was not measured.
    cautions : tuple of Caution
        Why the comparison cannot be trusted.
    folder : str or None
        Where the run is kept.
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

    @property
    def ending(self) -> str:
        """How the training ended, and where the new model is, as sentences."""
        history = self.mitigation.history
        steps, best = len(history.records), history.best_step
        line = f"{'Done' if self.mitigation.complete else 'Stopped'} after {steps} step{'s' * (steps != 1)}"
        if not self.mitigation.objective.takes_steps:
            line = "Done without a training step"
        if best is not None and best != steps:
            line += f", the weights are those of step {best}"
        return " ".join([f"{line}. The new model is explorer.mitigation.model.", *self.mitigation.notes])

    def measured(self, progress: Progress) -> Finished:
        """With both models measured on the test data."""
        comparison = self.experiment.measure(self.mitigation.model, progress)
        return replace(self, comparison=comparison, cautions=self.experiment.cautions_on(comparison.before))
