"""Holds the lines of the design: imports point downward, siblings stay apart, heavy packages stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ravl_explore"

# From the bottom up. A module may import from the rows before its own; those of one row do not import each other.
LAYERS = (
    "about",
    "errors",
    "support",
    "regions | captions",
    "data | models | clustering | metrics | objectives",
    "concepts",
    "embedding",
    "assignment | scores | relevance",
    "discovery | training | evaluation",
    "measures",
    "mitigation | comparison",
    "experiments",
    "storage",
    "plots",
    "synthetic | report",
    "widgets",
    "cli",
)
LAYER = {name: level for level, row in enumerate(LAYERS) for name in row.split(" | ")}

ONLY_IN = {
    "plotly": {"plots", "widgets"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
    "IPython": {"widgets"},
    "typer": {"cli"},
}
NEVER_IN = {"torch": {"clustering", "metrics", "plots"}}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def module_of(path: Path) -> str:
    """The module or folder of the package's top level that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_names(source: str, package: str) -> Iterator[str]:
    """Dotted names of everything that a file imports, also within functions; relative imports are made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> list[str]:
    package = ".".join(["ravl_explore", *path.relative_to(PACKAGE).parent.parts])
    return sorted(set(imported_names(path.read_text(encoding="utf-8"), package)))


def upward(module: str, names: list[str]) -> list[str]:
    """What is wrong with a module's imports from the package; nothing if all point downward."""
    wrong = []
    for name in names:
        root, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if root != "ravl_explore" or target == module:
            continue
        if target not in LAYER:
            wrong.append(f"{name}: import from the module that defines it, or give {target or 'it'} a place in LAYERS")
        elif LAYER[target] == LAYER[module]:
            wrong.append(f"{name}: {target} is a sibling of {module}")
        elif LAYER[target] > LAYER[module]:
            wrong.append(f"{name}: {target} is above {module}")
    return wrong


def test_every_module_has_a_place() -> None:
    assert FILES
    assert {module_of(path) for path in FILES} == LAYER.keys(), "give each its height in LAYERS, and no others"


@each_file
def test_imports_point_downward(path: Path) -> None:
    module = module_of(path)
    if module in LAYER:  # else test_every_module_has_a_place fails
        assert upward(module, imports_of(path)) == []


@each_file
def test_packages_stay_where_they_belong(path: Path) -> None:
    module, used = module_of(path), {name.split(".")[0] for name in imports_of(path)}
    assert {package for package, homes in ONLY_IN.items() if module not in homes} & used == set()
    assert {package for package, others in NEVER_IN.items() if module in others} & used == set()


def test_what_people_type_is_made_a_path_in_one_way() -> None:
    assert [path.name for path in FILES if "expanduser(" in path.read_text(encoding="utf-8")] == ["files.py"], (
        "use files.user_path"
    )


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("ravl_explore", "ipywidgets anywidget IPython plotly open_clip torch torchvision umap numba sklearn pandas"),
        (
            "ravl_explore.cli",
            "ipywidgets anywidget IPython plotly open_clip torch torchvision umap numba sklearn pandas",
        ),
        ("ravl_explore.clustering", "torch plotly ipywidgets anywidget open_clip"),
        ("ravl_explore.metrics", "torch plotly ipywidgets anywidget open_clip"),
        ("ravl_explore.mitigation", "plotly ipywidgets anywidget IPython"),
        ("ravl_explore.storage", "plotly ipywidgets anywidget IPython"),
    ],
)
def test_import_loads_no_more_than_it_needs(imported: str, unwanted: str) -> None:
    script = f"import sys, {imported}; print(*sys.modules.keys() & set({unwanted.split()}))"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []


def test_the_checks_see_what_is_wrong() -> None:
    source = "\n".join(
        [
            "import numpy",
            "from ravl_explore.errors import RavlError",
            "from ravl_explore.plots.curves import plot",
            "from ..models import base",
            "def f():\n    from ravl_explore import embed",
        ]
    )
    names = list(imported_names(source, "ravl_explore.data"))
    assert names[3] == "ravl_explore.models.base"
    assert upward("data", names) == [
        "ravl_explore.plots.curves.plot: plots is above data",
        "ravl_explore.models.base: models is a sibling of data",
        "ravl_explore.embed: import from the module that defines it, or give embed a place in LAYERS",
    ]
