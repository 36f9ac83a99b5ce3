"""run_all(): mitigate with every objective and every seed, on the same regions; what is finished is not done again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np

from ravl_explore import objectives as folder_of_objectives
from ravl_explore.about import __version__
from ravl_explore.assignment.assignment import Assignment, assign_embeddings
from ravl_explore.comparison import compare
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.files import content_fingerprint
from ravl_explore.discovery import SpuriousFeature, check_features
from ravl_explore.embedding.embeddings import Embeddings, embed
from ravl_explore.errors import InputError, StorageError
from ravl_explore.evaluation import Evaluation, evaluate, evaluate_scores
from ravl_explore.experiments.runs import (
    Content,
    Run,
    Runs,
    pack_evaluation,
    pack_run,
    read_content,
    unpack_evaluation,
    unpack_run,
    write_content,
)
from ravl_explore.mitigation import mitigate
from ravl_explore.models.base import VisionLanguageModel, check_model
from ravl_explore.objectives.base import Objective, check_objective
from ravl_explore.objectives.training_free import TrainingFree
from ravl_explore.regions.base import Proposer
from ravl_explore.regions.proposing import check_proposer
from ravl_explore.scores import zero_shot
from ravl_explore.support import checks
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.progress import Progress, report
from ravl_explore.training import TrainingSettings

SEEDS = (0, 1, 2)
# mitigate's own keywords that differ by run, or are made once for all
SET_HERE = ("objective", "seed", "assignment", "validation_assignment", "stream", "folder")
LOOSE = ("epochs", "learning_rate", "batch_size")  # settings that mitigate() also takes by themselves
SOME_SEEDS = "Try seeds=(0, 1, 2)."
KEYWORDS = frozenset(signature(mitigate).parameters)
KEY_SHOWN = 8  # digits of a run's key in its file's name

Made = TypeVar("Made")
Objectives = Mapping[str, Objective] | Sequence[Objective]


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


@overload
def run_all(
    model: VisionLanguageModel,
    train_data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    test_data: ImageTextDataset,
    *,
    objectives: Objectives | None = None,
    seeds: Sequence[int] = SEEDS,
    proposer: Proposer | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    stream: Literal[False] = False,
    **training: Any,
) -> Runs: ...


@overload
def run_all(
    model: VisionLanguageModel,
    train_data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    test_data: ImageTextDataset,
    *,
    objectives: Objectives | None = None,
    seeds: Sequence[int] = SEEDS,
    proposer: Proposer | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    stream: Literal[True],
    **training: Any,
) -> Iterator[Runs]: ...


def run_all(
    model: VisionLanguageModel,
    train_data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    test_data: ImageTextDataset,
    *,
    objectives: Objectives | None = None,
    seeds: Sequence[int] = SEEDS,
    proposer: Proposer | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    stream: bool = False,
    **training: Any,
) -> Runs | Iterator[Runs]:
    """Mitigate once for each objective and seed, seed by seed, and evaluate each new model on ``test_data``.

    Which regions are spurious is decided once, by ``model``, for all runs. Objectives that take no training step are
    run once, since a seed changes nothing.

    Parameters
    ----------
    model : the model that was searched; it is not changed
    train_data, test_data : images to fine-tune on, and to measure on
    features : what to suppress, from ``discovery.features``
    objectives : a list, or names of your own -> objectives; all that the explorer's menu offers unless given
    proposer : regions of both datasets; those that a dataset has, or ``Grid(2, 2)``, unless given
    folder : where each finished run is written at once, as one JSON file; a run that is there already is read instead.
        It is known again by its objective with all options, its seed, the training keywords, the weights of ``model``,
        the two datasets, the features and this package's version. Images are known by their contents, so they are all
        read once
    progress : told how far the present run is; may raise Cancelled, the folder then keeps the finished runs
    stream : True gives an iterator of :class:`Runs`, one run longer each time
    **training : keywords of :func:`ravl_explore.mitigate` for every run, such as ``epochs`` or ``validation``

    Raises
    ------
    InputError
        For no objective or seed, one that comes twice, a keyword that is set here, or no feature.
    StorageError
        When the folder cannot be made, or a file in it is cut short.

    Examples
    --------
    >>> runs = run_all(model, train, discovery.features[:1], test, folder="runs")  # doctest: +SKIP
    >>> runs.summary()  # doctest: +SKIP
    """
    seeds = [checks.seed("each of seeds", seed) for seed in checks.listed("seeds", seeds, object, SOME_SEEDS)]
    features = check_features(features)
    objectives = every_objective() if objectives is None else objectives
    named = _named(objectives)
    check_model(model)
    check_dataset(train_data, "train_data")
    check_dataset(test_data, "test_data")
    if proposer is not None:
        check_proposer(proposer)
    checks.flag("stream", stream)
    _check(named, seeds, training)
    if folder is not None:
        folder = user_path(checks.path("folder", folder))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise StorageError("a folder for the runs", f"{str(folder)!r} ({error})", "Choose another.") from error
    grid = _Grid(model, train_data, tuple(features), test_data, proposer, training, progress, folder)
    made = _make(grid, list(_plan(named, seeds)), folder)
    if stream:
        return made
    *_, runs = made
    return runs


def _named(objectives: Objectives) -> list[tuple[str, Objective]]:
    if isinstance(objectives, Mapping):
        named = list(objectives.items())
    else:
        remedy = "Pass [objectives.RegionAware()], a list even of one."
        listed: Any = checks.listed("objectives", objectives, object, remedy)
        named = [(getattr(each, "name", ""), each) for each in listed]
    for name, each in named:
        check_objective(each, f"objectives[{name!r}]" if isinstance(objectives, Mapping) else "each of objectives")
        checks.text("the name of an objective", name)
    return named


def _check(named: Sequence[tuple[str, Objective]], seeds: Sequence[int], training: Mapping[str, Any]) -> None:
    """Raise at once what would else be raised after the images were embedded."""
    if not named:
        raise InputError("at least one objective", "none", "Leave objectives out to run all.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError("at least one seed, each once", f"{tuple(seeds)}", SOME_SEEDS)
    spelled = [(name, repr(each)) for name, each in named]
    if len(set(spelled)) < len(spelled):
        raise InputError("each objective once", "one of them twice", "Give more seeds to repeat it.")
    unfit = [name for name in SET_HERE if name in training]
    if unfit:
        raise InputError("keywords of mitigate() that all runs share", ", ".join(unfit), "See run_all's own.")
    unknown = [name for name in training if name not in KEYWORDS]
    if unknown:
        raise InputError("keywords of mitigate()", ", ".join(unknown), "Check their spelling.")
    settings = training.get("settings") or TrainingSettings()
    checks.instance("settings", settings, TrainingSettings, "Write TrainingSettings(...).")
    replace(settings, **{name: training[name] for name in LOOSE if training.get(name) is not None})
    if training.get("validation") is not None:
        check_dataset(training["validation"], "validation")


def _plan(named: Sequence[tuple[str, Objective]], seeds: Sequence[int]) -> Iterator[tuple[str, Objective, int]]:
    for seed in seeds:
        for name, objective in named:
            if seed == seeds[0] or not isinstance(objective, TrainingFree):
                yield name, objective, seed


@dataclass(frozen=True, eq=False)
class _Grid:
    """What all runs share, each part made when it is first needed: a finished grid is read without embedding."""

    model: VisionLanguageModel
    train_data: ImageTextDataset
    features: tuple[SpuriousFeature, ...]
    test_data: ImageTextDataset
    proposer: Proposer | None
    training: Mapping[str, Any]
    progress: Progress | None
    folder: Path | None = None
    _contents: dict[str, str] = field(default_factory=dict)

    @cached_property
    def train_assignment(self) -> Assignment:
        return assign_embeddings(self._embedded(self.train_data, "training"), self.features)

    @cached_property
    def validation_assignment(self) -> Assignment | None:
        """Of the validation images, where no feature is annotated."""
        data = self.training.get("validation")
        if data is None or data.feature_present is not None:
            return None
        return assign_embeddings(self._embedded(data, "validation"), self.features)

    @cached_property
    def test_embeddings(self) -> Embeddings:
        return self._embedded(self.test_data, "test")

    @cached_property
    def test_assignment(self) -> Assignment:
        return assign_embeddings(self.test_embeddings, self.features)

    @cached_property
    def key(self) -> str:
        """One name for all that the runs have in common."""
        return digest(
            [
                __version__,
                self.model.fingerprint(),
                *self._data_parts(self.train_data),
                *self._data_parts(self.test_data),
                _spelled(self.proposer),
                [each.cluster for each in self.features],
                self.features[0].medoids,
            ]
        )

    def key_of(self, objective: Objective, seed: int) -> str:
        """One name for all that a run depends on."""
        keywords = self._keywords(objective)
        training = {name: self._argument(value) for name, value in keywords.items()}
        if keywords.get("concepts") is not None:
            training["concepts"] += self.concepts
        return digest([self.key, _spelled(objective), seed, training])

    @cached_property
    def concepts(self) -> str:
        """One name for the masks of files or another model, which may change."""
        source = self.training["concepts"]
        return "" if source.uses_regions else source.open(self.train_data).fingerprint()

    def _argument(self, value: Any) -> str:
        if hasattr(value, "labels") and hasattr(value, "fingerprint"):
            return digest(self._data_parts(value))
        return _spelled(value)

    def _data_parts(self, data: ImageTextDataset) -> list[Any]:
        """All that a dataset says, as parts of a digest: its fingerprint is of the pixels alone."""
        regions = data.regions
        optional = (
            data.captions, data.feature_present, data.region_labels,
            None if regions is None else regions.boxes, None if regions is None else regions.image_index,
        )  # fmt: skip
        return [self._images(data), data.labels, data.class_names, data.templates, *optional]

    def _images(self, data: ImageTextDataset) -> str:
        """One name for the contents of images; the folder keeps it by what is quick to see, so they are read once."""
        quick = data.fingerprint()
        if self.folder is None or not hasattr(data, "content_fingerprint"):
            return quick
        if quick not in self._contents:
            known = _read(self.folder, quick, str)
            if known is None:
                known = content_fingerprint(data, progress=self.progress)
                _write(self.folder, "images", quick, known)
            self._contents[quick] = known
        return self._contents[quick]

    def _keywords(self, objective: Objective) -> dict[str, Any]:
        """Those of mitigate() that concern the objective."""
        return {k: v for k, v in self.training.items() if k != "concepts" or objective.uses_relevance}

    def before(self) -> Evaluation:
        """The model as it is."""
        return evaluate_scores(zero_shot(self.test_embeddings), self.test_data, assignment=self.test_assignment)

    def run(self, name: str, objective: Objective, seed: int, before: Evaluation, stage: str) -> Run:
        """Train and measure."""
        own_classes = self.training.get("labels") is not None  # of captions: mitigate() then marks the regions itself
        assignment = None if own_classes else self.train_assignment
        test_assignment = self.test_assignment
        progress = _prefixed(self.progress, stage)
        started = time.monotonic()
        mitigation = mitigate(
            self.model,
            self.train_data,
            self.features,
            self.proposer,
            objective=objective,
            seed=seed,
            assignment=assignment,
            validation_assignment=self.validation_assignment,
            progress=progress,
            **self._keywords(objective),
        )
        seconds = time.monotonic() - started
        after = evaluate(mitigation.model, self.test_data, self.proposer, assignment=test_assignment, progress=progress)
        run = Run.of(mitigation, compare(before, after), name=name, seconds=seconds)
        return replace(run, notes=(*run.notes, *_missing_class(after)))

    def _embedded(self, data: ImageTextDataset, which: str) -> Embeddings:
        return embed(self.model, data, self.proposer, progress=_prefixed(self.progress, f"Marking {which} regions"))


def _missing_class(after: Evaluation) -> tuple[str, ...]:
    """What is to be said of test images that have no image of the class that the feature pulls to."""
    name = after.attribute
    if name is None or (name in after.class_names and (after.labels == after.class_names.index(name)).any()):
        return ()
    return (f"{after.data_name} has no image of {name!r}, the class that the feature pulls to: ε1 is not known.",)


def _make(grid: _Grid, plan: list[tuple[str, Objective, int]], folder: Path | None) -> Iterator[Runs]:
    before = None if folder is None else _read(folder, grid.key, unpack_evaluation)
    if before is None:
        before = grid.before()
        if folder is not None:
            _write(folder, "before", grid.key, pack_evaluation(before))
    runs: list[Run] = []
    for at, (name, objective, seed) in enumerate(plan, start=1):
        stage = f"Run {at} of {len(plan)}, {name}, seed {seed}"
        report(grid.progress, 0, 0, stage)
        key = "" if folder is None else grid.key_of(objective, seed)
        run = None if folder is None else _read(folder, key, lambda content: unpack_run(content, before))
        if run is None:
            run = grid.run(name, objective, seed, before, stage)
            if folder is not None:
                _write(folder, f"{_slug(name)}-{seed}", key, pack_run(run))
        runs.append(replace(run, objective=name))
        yield Runs(before, tuple(runs))


def _read(folder: Path, key: str, unpack: Callable[[Any], Made]) -> Made | None:
    """What the folder has of that key, whatever its file is called."""
    for path in sorted(folder.glob(f"*-{key[:KEY_SHOWN]}.json")):
        found = read_content(path, lambda content: unpack(content["content"]) if content["key"] == key else None)
        if found is not None:
            return found
    return None


def _write(folder: Path, stem: str, key: str, content: Content | str) -> None:
    write_content(folder / f"{stem}-{key[:KEY_SHOWN]}.json", {"key": key, "content": content})


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"


def _spelled(value: Any) -> str:
    """A value as text that is the same in the next session.

    Raises
    ------
    InputError
        When nothing of it says what it is.
    """
    if hasattr(value, "fingerprint") and not is_dataclass(value):
        return str(value.fingerprint())
    if isinstance(value, np.ndarray):
        return digest([value])  # its repr leaves out the middle
    text = repr(value)
    if re.search(r" at 0x[0-9a-f]+", text):
        raise InputError(
            "arguments that can be told apart in the next session",
            text,
            "Give it a fingerprint() or a __repr__ that says all of it, or leave folder out.",
        )
    return text


def _prefixed(progress: Progress | None, stage: str) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total, inner: progress(done, total, f"{stage}: {inner}")
