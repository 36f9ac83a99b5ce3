"""Runs: many mitigations side by side, each with its numbers, and their mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass

import pandas as pd

from ravl_explore.comparison import Comparison
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.cautions import Caution
from ravl_explore.measures import measures_of, numbers
from ravl_explore.mitigation import Mitigation
from ravl_explore.objectives.base import Objective
from ravl_explore.support.json_values import Json, plain
from ravl_explore.training import History

SPREAD = ", sd"


@dataclass(frozen=True, eq=False)
class Run:
    """One mitigation with what came of it.

    Attributes
    ----------
    objective : str
        What it is called.
    spelled : str
        The objective as Python writes it, with all its options.
    options : mapping of str to str
        The objective's options, each as Python writes it.
    seed : int or None
        None for an objective without steps, which comes out the same for every seed.
    settings : mapping of str to plain value
        How it was trained, without the seed; what was suppressed, and the model it began with.
    seconds : float
        How long it took.
    comparison : Comparison
        Before and after.
    history : History
        One record a step.
    complete : bool
        False when it was stopped before the last step.
    notes : tuple of str
        What the user should know of it, as sentences.
    """

    objective: str
    spelled: str
    options: Mapping[str, str]
    seed: int | None
    settings: Mapping[str, Json]
    seconds: float
    comparison: Comparison
    history: History
    complete: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, mitigation: Mitigation, comparison: Comparison, *, name: str = "", seconds: float | None = None) -> Run:
        """What is kept of a mitigation: all but the model.

        Parameters
        ----------
        mitigation : Mitigation
            The run.
        comparison : Comparison
            Before it and after.
        name : str
            What the objective is called; its own name unless given.
        seconds : float or None
            Those of the last step unless given.
        """
        objective, records = mitigation.objective, mitigation.history.records
        settings = {name: plain(value) for name, value in vars(mitigation.settings).items() if name != "seed"}
        # what was suppressed, and of which model: runs that differ in these are no repetitions of each other
        feature = mitigation.assignment.feature
        settings |= {"feature": None, "discovery": ""} if feature is None else feature.settings
        settings["model"] = mitigation.model.name.removesuffix(f", {objective.name}")
        return cls(
            objective=name or objective.name,
            spelled=repr(objective),
            options=options_of(objective),
            seed=mitigation.settings.seed if objective.takes_steps else None,
            settings=settings,
            seconds=(records[-1].seconds if records else 0.0) if seconds is None else seconds,
            comparison=comparison,
            history=mitigation.history,
            complete=mitigation.complete,
            notes=mitigation.notes,
        )


@dataclass(frozen=True, eq=False)
class Runs:
    """Several runs, and the model that all started from.

    Attributes
    ----------
    before : Evaluation
        Before any mitigation.
    runs : tuple of Run
        In the order in which they were made.
    cautions : tuple of Caution
        Why their comparisons cannot be trusted; none of runs that were put together by hand.
    """

    before: Evaluation
    runs: tuple[Run, ...] = ()
    cautions: tuple[Caution, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each run's objective; where one name has several options or settings, with those that differ."""
        alike: dict[str, list[dict[str, str]]] = {}
        for run in self.runs:
            alike.setdefault(run.objective, []).append(_choices(run))
        return tuple(_label(run.objective, _choices(run), alike[run.objective]) for run in self.runs)

    @property
    def measures(self) -> tuple[str, ...]:
        """What the table's numbers are called: keys of the measures that the evaluations have."""
        evaluations = (self.before, *(run.comparison.after for run in self.runs))
        return tuple(dict.fromkeys(measure.key for evaluation in evaluations for measure in measures_of(evaluation)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the numbers, as sentences."""
        once = dict.fromkeys(label for label, run in zip(self.labels, self.runs, strict=True) if run.seed is None)
        stopped = sum(not run.complete for run in self.runs)
        notes = [f"{label} takes no training step: it was run once and has no spread over seeds." for label in once]
        if stopped:
            notes.append(f"{stopped} of {len(self)} runs stopped before the last step.")
        compared = (run.comparison.before for run in self.runs)
        notes += [f"Guessing gives {100 * before.chance:.1f}% on {before.data_name}." for before in compared]
        told = (caution.text for caution in self.cautions)
        return tuple(dict.fromkeys([*notes, *told, *(note for run in self.runs for note in run.notes)]))

    def frame(self) -> pd.DataFrame:
        """One row a run: objective, seed, data, steps, complete, seconds, options, settings, then the measures.

        Accuracies are in percent, ε in points; a measure that a run's data cannot tell is NaN.
        """
        rows = [
            {
                "objective": label,
                "seed": run.seed,
                "data": run.comparison.after.data_name,
                "steps": len(run.history.records),
                "complete": run.complete,
                "seconds": run.seconds,
                "options": run.spelled,
                "settings": ", ".join(f"{key}={value!r}" for key, value in run.settings.items()),
                **numbers(run.comparison.after),
            }
            for label, run in zip(self.labels, self.runs, strict=True)
        ]
        columns = ["objective", "seed", "data", "steps", "complete", "seconds", "options", "settings", *self.measures]
        return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})

    def summary(self) -> pd.DataFrame:
        """One row an objective (and dataset), in the order of the runs: objective, data, n, then mean and spread.

        A measure's mean has its name, its spread the name and ", sd": the standard deviation over runs (n - 1 in the
        denominator), NaN for a single one.
        """
        frame = self.frame()
        rows = []
        for (objective, data), group in frame.groupby(["objective", "data"], sort=False):  # type: ignore[misc]
            rows.append({"objective": objective, "data": data, "n": len(group)})
            for measure in ("seconds", *self.measures):
                rows[-1] |= {measure: group[measure].mean(), measure + SPREAD: group[measure].std()}
        columns = [name for measure in ("seconds", *self.measures) for name in (measure, measure + SPREAD)]
        return pd.DataFrame(rows, columns=["objective", "data", "n", *columns])


def options_of(objective: Objective) -> dict[str, str]:
    """An objective's options, each as Python writes it; all in one where it is no dataclass.

    Parameters
    ----------
    objective : Objective
        A dataclass or not.
    """
    if not is_dataclass(objective):
        return {"": repr(objective)}
    return {option.name: repr(getattr(objective, option.name)) for option in fields(objective)}


def _choices(run: Run) -> dict[str, str]:
    return {**run.options, **{key: repr(value) for key, value in run.settings.items()}}


def _label(name: str, own: Mapping[str, str], alike: Sequence[Mapping[str, str]]) -> str:
    differ = [f"{key}={own[key]}" for key in own if any(other.get(key) != own[key] for other in alike)]
    return f"{name} ({', '.join(differ)})" if differ else name
