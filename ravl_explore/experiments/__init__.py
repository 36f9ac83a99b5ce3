"""run_all(): one experiment, or one for each objective and seed, and their results side by side."""

from ravl_explore.experiments.grid import run_all
from ravl_explore.experiments.runs import Run, Runs

__all__ = ["Run", "Runs", "run_all"]
