"""Captions -> labels: which class a caption names, and a report on those that name none or several."""

from ravl_explore.captions.labeller import CaptionLabeller
from ravl_explore.captions.labels import CaptionLabels
from ravl_explore.captions.of_dataset import label
from ravl_explore.captions.words import common_synonyms

__all__ = ["CaptionLabeller", "CaptionLabels", "common_synonyms", "label"]
