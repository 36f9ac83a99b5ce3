"""What importing the package sets up before PyTorch is loaded, and that its map of files is true."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ravl_explore


@pytest.mark.parametrize(("given", "found"), [(None, "passive"), ("active", "active")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given: str | None, found: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    script = "import os, sys, ravl_explore; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [found, "False"]


def test_the_route_through_the_package_names_files_that_are_there_and_say_so() -> None:
    route = re.findall(r"^    (\S+\.py) +(\w+)\(\)  ", ravl_explore.__doc__ or "", re.MULTILINE)
    assert len(route) == 10 and route[0][1] == "embed" and route[-1][1] == "compare"
    for file, name in route:
        source = (Path(ravl_explore.__file__).parent / file).read_text(encoding="utf-8")
        defined = {
            each.name for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef | ast.ClassDef)
        }
        assert name in defined, f"{file} does not define {name}"


def test_every_noun_and_verb_comes_from_the_package_itself() -> None:
    found = {name: getattr(ravl_explore, name) for name in ravl_explore.__all__}
    assert all(found[name].__name__ == name for name in found if name != "__version__")
    from ravl_explore.assignment.features import ClusterFeature, Feature

    assert found["Feature"] is Feature and found["ClusterFeature"] is ClusterFeature
