"""run_all(): one experiment with every objective and every seed; what is finished is not done again."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ravl_explore import objectives as folder_of_objectives
from ravl_explore.assignment.features import Feature
from ravl_explore.captions import CaptionLabeller
from ravl_explore.concepts.base import ConceptSource
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import InputError, StorageError
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.cautions import Caution
from ravl_explore.experiments.experiment import Experiment
from ravl_explore.experiments.packing import pack_evaluation, pack_run, unpack_evaluation, unpack_run
from ravl_explore.experiments.run_files import keep, read_kept
from ravl_explore.experiments.run_key import RunKeys
from ravl_explore.experiments.runs import Run, Runs
from ravl_explore.mitigation import chosen_settings
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective, check_objective
from ravl_explore.regions.base import Proposer
from ravl_explore.support import checks
from ravl_explore.support.contents import content
from ravl_explore.support.files import user_path
from ravl_explore.support.progress import Progress, report
from ravl_explore.training import TrainingSettings

SEEDS = (0, 1, 2)
SOME_SEEDS = "Try seeds=(0, 1, 2)."

logger = logging.getLogger(__name__)

Objectives = Mapping[str, Objective] | Sequence[Objective]
Planned = tuple[str, Objective, TrainingSettings]  # a run's name, and what it is trained with


def every_objective() -> dict[str, Objective]:
    """What the explorer's menu of objectives offers, each with its defaults, by menu label.

    Examples
    --------
    >>> every_objective()["Standard fine-tuning"]
    Standard(equal_captions='negatives')
    """
    parts = [getattr(folder_of_objectives, name) for name in folder_of_objectives.__all__]
    return {
        label: part(*arguments) for part in parts if hasattr(part, "menu") for label, arguments in part.menu().items()
    }


def run_all(
    model: VisionLanguageModel,
    train_data: ImageTextDataset,
    feature: Feature,
    test_data: ImageTextDataset,
    *,
    objectives: Objectives | None = None,
    seeds: Sequence[int] = SEEDS,
    proposer: Proposer | None = None,
    validation: ImageTextDataset | None = None,
    labels: CaptionLabeller | np.ndarray | None = None,
    concepts: ConceptSource | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    settings: TrainingSettings | None = None,
    folder: str | Path | None = None,
    on_run: Callable[[Runs], object] | None = None,
    progress: Progress | None = None,
) -> Runs:
    """Mitigate once for each objective and seed, seed by seed, and evaluate each new model on ``test_data``.

    Which regions are spurious is decided once, by ``model``, for all runs. Objectives that take no training step are
    run once, since a seed changes nothing. What must be said of the comparison is logged before the first training, and
    stays in ``Runs.cautions``.

    Parameters
    ----------
    model, train_data, feature, test_data, proposer, validation, labels, concepts
        As of :class:`~ravl_explore.experiments.experiment.Experiment`.
    objectives : sequence of Objective, mapping of str to Objective, or None
        The mapping's names are your own; all that the explorer's menu offers unless given.
    seeds : sequence of int
        Each once.
    epochs, learning_rate, settings
        As of :func:`ravl_explore.mitigate`, for every run.
    folder : str or Path or None
        Where each finished run is written at once, as one JSON file; a run that is there already is read instead. It is
        known again by the content of all that it depends on, and by this package's version. Images are known by their
        contents, so they are all read once.
    on_run : function of Runs, or None
        Given the runs so far after each one; may raise Cancelled.
    progress : Progress or None
        Told how far the present run is; may raise Cancelled, the folder then keeps the finished runs.

    Raises
    ------
    InputError
        For no objective or seed, one that comes twice, settings out of range, or no feature.
    StorageError
        When the folder cannot be made, or a file in it is cut short.

    Examples
    --------
    >>> runs = run_all(model, train, discovery.choose(7), test, folder="runs")  # doctest: +SKIP
    >>> runs.summary()  # doctest: +SKIP
    """
    seeds = [checks.seed("each of seeds", seed) for seed in checks.listed("seeds", seeds, object, SOME_SEEDS)]
    named = _named(every_objective() if objectives is None else objectives)
    experiment = Experiment(
        model, train_data, feature, test_data, proposer, validation, labels=labels, concepts=concepts
    )
    _check(named, seeds)
    if on_run is not None and not callable(on_run):
        raise InputError("on_run a function", checks.came(on_run), "Write on_run=lambda runs: ...")
    planned = [
        (name, objective, chosen_settings(objective, settings, epochs=epochs, learning_rate=learning_rate))
        for name, objective in named
    ]
    if folder is not None:
        folder = user_path(checks.path("folder", folder))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise StorageError("a folder for the runs", f"{str(folder)!r} ({error})", "Choose another.") from error
    return _grid(experiment, list(_plan(planned, seeds)), folder, on_run, progress)


def _grid(
    experiment: Experiment,
    plan: Sequence[Planned],
    folder: Path | None,
    on_run: Callable[[Runs], object] | None,
    progress: Progress | None,
) -> Runs:
    """Each planned run, made or read out of the folder."""
    _tell(experiment.cautions)
    keys = RunKeys(experiment, folder, progress)
    before = _before(experiment, keys, folder, progress)
    cautions = experiment.cautions_on(before)
    _tell(cautions[len(experiment.cautions) :])
    runs: list[Run] = []
    for number, (name, objective, settings) in enumerate(plan, start=1):
        stage = f"Run {number} of {len(plan)}, {name}, seed {settings.seed}"
        report(progress, 0, 0, stage)
        key = "" if folder is None else keys.of(objective, settings)
        run = None if folder is None else read_kept(folder, key, lambda stored: unpack_run(stored, before))
        if run is None:
            run = _run(experiment, name, objective, settings, _prefixed(progress, stage))
            if folder is not None:
                keep(folder, f"{_slug(name)}-{settings.seed}", key, pack_run(run))
        runs.append(replace(run, objective=name))
        if on_run is not None:
            on_run(Runs(before, tuple(runs), cautions))
    return Runs(before, tuple(runs), cautions)


def _run(
    experiment: Experiment, name: str, objective: Objective, settings: TrainingSettings, progress: Progress | None
) -> Run:
    """Train and measure."""
    experiment.marked(progress)  # that all runs share is not in the first one's seconds
    started = time.monotonic()
    training = experiment.begin(objective, settings, progress=progress)
    try:
        for record in training:
            report(progress, record.step, record.n_steps, "Fine-tuning")
    finally:
        training.close()
    mitigation, seconds = training.result(), time.monotonic() - started
    return Run.of(mitigation, experiment.measure(mitigation.model, progress), name=name, seconds=seconds)


def _before(experiment: Experiment, keys: RunKeys, folder: Path | None, progress: Progress | None) -> Evaluation:
    """The searched model's evaluation, out of the folder where it is there: then nothing is embedded for it."""
    if folder is None:
        return experiment.before(progress)
    before = read_kept(folder, keys.shared, unpack_evaluation)
    if before is None:
        before = experiment.before(progress)
        keep(folder, "before", keys.shared, pack_evaluation(before))
    experiment.take_before(before)
    return before


def _named(objectives: Objectives) -> list[tuple[str, Objective]]:
    if isinstance(objectives, Mapping):
        named = list(objectives.items())
    else:
        remedy = "Pass [objectives.RegionAware()], a list even of one."
        checks.listed("objectives", objectives, object, remedy)
        named = [(getattr(objective, "name", ""), objective) for objective in objectives]
    for name, objective in named:
        called = f"objectives[{name!r}]" if isinstance(objectives, Mapping) else "each of objectives"
        check_objective(objective, called)
        checks.text("the name of an objective", name)
    return named


def _check(named: Sequence[tuple[str, Objective]], seeds: Sequence[int]) -> None:
    """Raise at once what would else be raised after the images were embedded."""
    if not named:
        raise InputError("at least one objective", "none", "Leave objectives out to run all.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError("at least one seed, each once", f"{tuple(seeds)}", SOME_SEEDS)
    told = [(name, _known_by(objective)) for name, objective in named]
    if len(set(told)) < len(told):
        raise InputError("each objective once", "one of them twice", "Give more seeds to repeat it.")


def _known_by(objective: Objective) -> str:
    """Its content; its text where that has none, such as of one that holds a lambda, which only a folder forbids."""
    try:
        return content(objective)
    except InputError:
        return repr(objective)


def _plan(planned: Sequence[Planned], seeds: Sequence[int]) -> Iterator[Planned]:
    """Seed by seed; what takes no step once, since a seed changes nothing of it."""
    for seed in seeds:
        for name, objective, settings in planned:
            if seed == seeds[0] or objective.takes_steps:
                yield name, objective, replace(settings, seed=seed)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"


def _tell(cautions: Sequence[Caution]) -> None:
    """Log them, so that nobody waits for runs that cannot be trusted."""
    for caution in cautions:
        logger.warning("%s", caution.text)


def _prefixed(progress: Progress | None, stage: str) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total, inner: progress(done, total, f"{stage}: {inner}")
