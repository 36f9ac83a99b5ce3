"""TrainingLoop: goes through a training's steps, drawn as they come, until its end, a pause, or Stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ravl_explore.experiments.embedded_once import LOOK_SECONDS
from ravl_explore.mitigation import MitigationRun
from ravl_explore.support.progress import Progress, report
from ravl_explore.training import StepRecord
from ravl_explore.widgets.mitigation.curves import Curves


class TrainingLoop:
    """What Pause, Resume and Stop do to a training in another thread.

    Parameters
    ----------
    curves : Curves
        Where steps are drawn.
    on_change : callable
        Called without arguments when the training begins or ends to take steps.
    """

    def __init__(self, curves: Curves, on_change: Callable[[], object]) -> None:
        self._curves, self._on_change = curves, on_change
        self._resume, self._stop = threading.Event(), threading.Event()
        self._resume.set()
        self._stepping = False

    @property
    def paused(self) -> bool:
        """Whether it holds before the next step."""
        return not self._resume.is_set()

    @property
    def steerable(self) -> bool:
        """Whether steps are being taken, and shall go on: then it can be paused and stopped."""
        return self._stepping and not self._stop.is_set()

    def ready(self) -> None:
        """Forget what was asked of the training before."""
        self._stop.clear()
        self._resume.set()

    def pause(self) -> None:
        """Hold before the next step."""
        self._resume.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._resume.set()

    def stop(self) -> None:
        """End after the step that is being taken."""
        self._stop.set()
        self._resume.set()

    def run(self, run: MitigationRun, progress: Progress, on_end: Callable[[], object]) -> None:
        """Take the steps; whatever ends them, an error too, what at least one step trained is told to ``on_end``.

        Parameters
        ----------
        run : MitigationRun
            Gives one record a step.
        progress : Progress
            Hears of every step and pause; may raise Cancelled.
        on_end : callable
            Called without arguments, if any step was taken.
        """
        started = False
        self._change(True)
        try:
            for record in run:
                if started:
                    self._curves.append(record)
                else:
                    started = True
                    self._begin(run)
                report(progress, record.step, record.n_steps, "Fine-tuning")
                while not self._resume.wait(LOOK_SECONDS):
                    report(progress, record.step, record.n_steps, "Paused")
                if self._stop.is_set():
                    break
        finally:
            self._change(False)
            run.close()
            if run.result().history.records:
                if not started:  # a folder whose run had ended
                    self._begin(run)
                on_end()
                self._curves.finish()

    def _begin(self, run: MitigationRun) -> None:
        """Draw the steps so far: one, or those of a run folder that is gone on with."""
        begun = run.result()
        records: tuple[StepRecord, ...] = begun.history.records
        title = f"{begun.objective.name}, seed {begun.settings.seed}"
        self._curves.start(records[-1].n_steps, title, "accuracy, searched images")
        for record in records:
            self._curves.append(record)

    def _change(self, stepping: bool) -> None:
        self._stepping = stepping
        self._on_change()
