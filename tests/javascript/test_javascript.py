"""The widgets' scripts: lint, format, tests of what needs no page, and that what is sent is one module of one scope."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ravl_explore.widgets.basics.static import STATIC, script
from tests.browser import in_ci
from tests.node import ToolUnavailable, biome, node

WIDGETS = sorted(path.name for path in STATIC.glob("*.js"))
MODULES = sorted(STATIC.rglob("*.js"))
MOST_LINES = 300
MOST_BYTES = 25_000
HEARS = re.compile(r"initialize: hearThoughLate\b|initialize\(\{ model \}\) \{\s+hearThoughLate\(")
AS_HTML = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")


def command(of: Callable[[], list[str]]) -> list[str]:
    """What starts a tool; without it the run fails in CI and skips elsewhere."""
    try:
        return of()
    except ToolUnavailable as error:
        (pytest.fail if in_ci() else pytest.skip)(str(error))


def run(*arguments: str | Path, cwd: Path, text: str | None = None) -> None:
    ran = subprocess.run(arguments, cwd=cwd, input=text, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"


def test_biome_has_nothing_to_say(repository: Path) -> None:
    """Lint and format of the scripts and their tests, as set in biome.json."""
    run(*command(biome), "check", "--error-on-warnings", "--colors=off", cwd=repository)


def test_the_scripts_tests_pass(repository: Path) -> None:
    """One a line: ``node --test tests/javascript/*.test.js``."""
    tests = sorted((repository / "tests" / "javascript").glob("*.test.js"))
    assert tests
    run(*command(node), "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", *tests, cwd=repository)


@pytest.mark.parametrize("name", WIDGETS)
def test_what_a_widget_sends_is_a_module(name: str, repository: Path) -> None:
    run(*command(node), "--check", "--input-type=module", "-", cwd=repository, text=script(name))
    assert len(script(name).encode()) < MOST_BYTES
    assert HEARS.search(script(name)), "its initialize calls hearThoughLate, or is it: see static/shared/late.js"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_a_module_is_short_and_takes_no_text_for_html(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.startswith("// "), "the first line says what it is for"
    assert len(source.splitlines()) <= MOST_LINES
    assert [word for word in AS_HTML if word in source] == []
    assert "http" not in source.replace('"http://www.w3.org/2000/svg"', "")


def test_a_style_loads_nothing() -> None:
    assert [path.name for path in STATIC.glob("*.css") if re.search(r"http|@import", path.read_text())] == []
