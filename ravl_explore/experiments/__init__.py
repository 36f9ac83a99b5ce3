"""run_all(): one experiment with each objective and seed, and their results side by side, with what to beware of."""

from ravl_explore.experiments.cautions import Caution
from ravl_explore.experiments.experiment import Experiment
from ravl_explore.experiments.grid import run_all
from ravl_explore.experiments.runs import Run, Runs

__all__ = ["Caution", "Experiment", "Run", "Runs", "run_all"]
