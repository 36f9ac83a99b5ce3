"""Fine-tuning of the image tower: its settings, its batches, the trainer that yields steps, and run folders."""

from ravl_explore.training.batches import TrainingSet
from ravl_explore.training.folder import RunFolder
from ravl_explore.training.history import History, StepRecord, Steps
from ravl_explore.training.optimiser import MAX_GRADIENT_NORM
from ravl_explore.training.settings import WARMUP_STEPS, WEIGHT_DECAY, Monitor, Precision, Schedule, TrainingSettings
from ravl_explore.training.trainer import train

__all__ = [
    "MAX_GRADIENT_NORM",
    "WARMUP_STEPS",
    "WEIGHT_DECAY",
    "History",
    "Monitor",
    "Precision",
    "RunFolder",
    "Schedule",
    "StepRecord",
    "Steps",
    "TrainingSet",
    "TrainingSettings",
    "train",
]
