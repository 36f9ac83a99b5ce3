"""How long work reports where it is: one callable, which may raise Cancelled to stop the work.

Long functions take ``progress=None`` and call ``report(progress, done, total, stage)`` between steps, never
more often than once a step. A callback that raises :class:`ravl_explore.errors.Cancelled` stops the work there.
"""

from __future__ import annotations

from collections.abc import Callable

from ravl_explore.errors import InputError

Progress = Callable[[int, int, str], None]
"""``progress(done, total, stage)``: steps done, steps in all (0 = unknown), and the stage's name."""


def staged(progress: Progress | None, stage: str) -> Progress:
    """Tell ``progress`` of a part of the work, whatever the part calls its own stages.

    Parameters
    ----------
    progress : Progress or None
        Who listens.
    stage : str
        What the part is called.
    """
    return lambda done, total, _: report(progress, done, total, stage)


def report(progress: Progress | None, done: int, total: int, stage: str) -> None:
    """Tell ``progress`` how far a stage is, if anybody listens.

    Parameters
    ----------
    progress : Progress or None
        Who listens.
    done, total : int
        Steps that are done, and all of them; 0 where that is not known.
    stage : str
        What the stage is called.

    Raises
    ------
    InputError
        For what cannot be called.
    """
    if progress is not None:
        if not callable(progress):
            raise InputError(
                "progress a function", f"{progress!r}"[:80], "Write progress=lambda done, total, stage: ..."
            )
        progress(done, total, stage)
