"""Concept masks: where in each image a model shall look, and where not; ``__all__`` is what the menu offers."""

from ravl_explore.concepts.base import ConceptMasks, ConceptSource
from ravl_explore.concepts.base import read_all as read_all
from ravl_explore.concepts.discovered import Discovered
from ravl_explore.concepts.grounded import Grounded
from ravl_explore.concepts.mask_files import MaskFiles

__all__ = ["Discovered", "MaskFiles", "Grounded", "ConceptMasks", "ConceptSource"]  # noqa: RUF022  the menu's order
