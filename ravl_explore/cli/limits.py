"""Limits: what counts as a failure in CI, and which suspects reach it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ravl_explore.errors import InputError

if TYPE_CHECKING:
    from ravl_explore.discovery import SpuriousFeature


@dataclass(frozen=True)
class Limits:
    """A kept cluster reaches the limits when it reaches each one that is set; with none set, nothing does.

    Attributes
    ----------
    influence, gap : float or None
        Reached from this value up.
    q : float or None
        Reached from this value down.

    Raises
    ------
    InputError
        For a limit out of its range, or NaN.
    """

    influence: float | None = None
    gap: float | None = None
    q: float | None = None

    def __post_init__(self) -> None:
        for option, value, most in (
            ("--fail-influence", self.influence, 1.0),
            ("--fail-gap", self.gap, float("inf")),
            ("--fail-q", self.q, 1.0),
        ):
            if value is not None and not 0 <= value <= most:
                raise InputError(
                    f"{option} of at least 0" if most > 1 else f"{option} from 0 to 1", f"{value:g}", "Mend the number."
                )

    @property
    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def reached_by(self, features: Sequence[SpuriousFeature]) -> list[SpuriousFeature]:
        """Those of the kept clusters that reach every limit; a number that is not known reaches none."""
        return [each for each in features if self.given and self._reached(each)]

    def _reached(self, each: SpuriousFeature) -> bool:
        return (
            (self.influence is None or each.influence >= self.influence)
            and (self.gap is None or each.performance_gap >= self.gap)
            and (self.q is None or each.q_value <= self.q)
        )
