"""A few of the cases; ``python -m tests.fuzz`` runs thousands."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fuzz import damage, run

CASES = 100


@pytest.mark.xdist_group("fuzz")
def test_damaged_files_and_wrong_calls_end_in_the_packages_errors() -> None:
    faults, peak = run.run(list(range(CASES)), seed=0)
    assert not faults, "\n".join(f"{each.number}: {each.tried}: {each.wrong}" for each in faults)
    assert 0 < peak < run.MEGABYTES


def test_the_same_numbers_give_the_same_damage_and_some() -> None:
    content = b'{"a": [1, 2, {"b": "text"}], "c": 4}'
    made = [[damage.damage_json(content, np.random.default_rng([0, n])) for n in range(50)] for _ in range(2)]
    assert made[0] == made[1] and len(set(made[0])) > 25
