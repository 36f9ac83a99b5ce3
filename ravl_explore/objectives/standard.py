"""Standard fine-tuning: more of what taught the model its shortcut; the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from ravl_explore.objectives.base import EqualCaptions
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.support import checks


@dataclass(frozen=True)
class Standard(ImageObjective):
    """CLIP's loss on the fine-tuning data as it is.

    Parameters
    ----------
    equal_captions : {"negatives", "positives"}
        What equal captions of other images of the batch are; negatives as in CLIP.
    """

    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        checks.one_of("equal_captions", self.equal_captions, ("negatives", "positives"))

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Standard fine-tuning": ()}

    @property
    def name(self) -> str:
        return "Standard fine-tuning"
