"""One rule for numbers that JSON has no word for, wherever they stand, and strict JSON for all else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ravl_explore.support.json_values import as_json, plain


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "nan"),
        (np.float32("-inf"), "-inf"),
        (0.1, 0.1),
        (np.float64(0.1), 0.1),
        (np.int64(2**40), 2**40),
        (np.bool_(True), True),
        (True, True),
        (None, None),
        ("NaN", "NaN"),
        (np.array([[0.5, np.inf], [np.nan, 0.0]]), [[0.5, "inf"], ["nan", 0.0]]),
        (np.array([[1, 2]]), [[1, 2]]),
        ((1, [range(2)]), [1, [[0, 1]]]),
        ({1: {"gap": float("inf")}}, {"1": {"gap": "inf"}}),
        (Path("a") / "b", str(Path("a") / "b")),
        (complex(1, 2), "(1+2j)"),
    ],
)
def test_values_as_json_takes_them(value: object, told: object) -> None:
    found = plain(value)
    assert found == told and type(found) is type(told)
    assert json.loads(as_json(value), parse_constant=pytest.fail) == told


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 0.1 + 0.2, 1e308, 5e-324])
def test_every_number_is_read_back_as_it_was(value: float) -> None:
    np.testing.assert_equal(float(json.loads(as_json(value))), value)


def test_json_is_ascii_and_indented_where_asked() -> None:
    assert as_json({"é": 1}) == '{"\\u00e9": 1}'
    assert as_json([1], indent=2) == "[\n  1\n]"
