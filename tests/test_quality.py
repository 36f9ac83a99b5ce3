"""Lint, format and types are part of the test run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "arguments",
    [["ruff", "check"], ["ruff", "format", "--check"], ["pyright", "--pythonpath", sys.executable]],
    ids=["lint", "format", "types"],
)
def test_tool_has_nothing_to_say(arguments: list[str], repository: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=repository,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
