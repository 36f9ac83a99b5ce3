"""RunKeys: one name for all that a run of an experiment depends on, told by content, so that it is known again."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from ravl_explore.about import __version__
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import content_fingerprint, tells_contents
from ravl_explore.experiments.experiment import Experiment
from ravl_explore.experiments.run_files import keep, read_kept
from ravl_explore.mitigation.run_identity import told
from ravl_explore.objectives.base import Objective
from ravl_explore.support.contents import content
from ravl_explore.support.progress import Progress
from ravl_explore.training import TrainingSettings


class RunKeys:
    """The keys of an experiment's runs in a folder.

    Parameters
    ----------
    experiment : Experiment
        Whose runs.
    folder : Path or None
        Where contents of images are kept by what is quick to see, so that they are read once.
    progress : Progress or None
        Told while they are read.
    """

    def __init__(self, experiment: Experiment, folder: Path | None, progress: Progress | None) -> None:
        self._experiment, self._folder, self._progress = experiment, folder, progress
        self._images: dict[str, str] = {}

    @cached_property
    def shared(self) -> str:
        """One name for all that the runs have in common."""
        e = self._experiment
        datasets = [self._data(e.train_data), self._data(e.test_data)]
        return content((__version__, e.model, *datasets, e.proposer, e.feature))

    def of(self, objective: Objective, settings: TrainingSettings) -> str:
        """One name for all that a run depends on.

        Parameters
        ----------
        objective : Objective
            What it minimises.
        settings : TrainingSettings
            How.
        """
        e = self._experiment
        validation = None if e.validation is None else self._data(e.validation)
        concepts = (e.concepts, self._masks) if objective.uses_relevance and e.concepts is not None else None
        return content((self.shared, objective, settings, validation, e.labels, concepts))

    @cached_property
    def _masks(self) -> str:
        """One name for the masks of files or another model, which may change."""
        source = self._experiment.concepts
        if source is None or source.uses_regions:
            return ""
        return source.open(self._experiment.train_data).fingerprint()

    def _data(self, data: ImageTextDataset) -> str:
        return told(data, self._contents(data))

    def _contents(self, data: ImageTextDataset) -> str:
        """One name for the contents of a dataset's images."""
        quick = data.fingerprint()
        if self._folder is None or not tells_contents(data):
            return quick
        if quick not in self._images:
            known = read_kept(self._folder, quick, str)
            if known is None:
                known = content_fingerprint(data, progress=self._progress)
                keep(self._folder, "images", quick, known)
            self._images[quick] = known
        return self._images[quick]
