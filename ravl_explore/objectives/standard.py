"""Standard fine-tuning: more of what taught the model its shortcut; the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from ravl_explore.objectives.base import ImageObjective


@dataclass(frozen=True)
class Standard(ImageObjective):
    """CLIP's loss on the fine-tuning data as it is."""

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Standard fine-tuning": ()}

    @property
    def name(self) -> str:
        return "Standard fine-tuning"
