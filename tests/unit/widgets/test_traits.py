"""What a widget's traits mean stands under each of them, for whoever sets or observes one."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap

import pytest
import traitlets

from ravl_explore import widgets


def _classes() -> list[type[traitlets.HasTraits]]:
    """Every class with traits that the widgets' modules define, private ones too."""
    modules = [
        importlib.import_module(each.name) for each in pkgutil.walk_packages(widgets.__path__, "ravl_explore.widgets.")
    ]
    return [
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, traitlets.HasTraits) and each.__module__ == module.__name__
    ]


def _told(cls: type) -> set[str]:
    """The names in a class's body with a text right below them."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    told = set()
    for line, below in zip(body.body, body.body[1:], strict=False):
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            told |= {target.id for target in targets if isinstance(target, ast.Name)}
    return told


def test_the_widgets_are_found() -> None:
    assert {getattr(widgets, name) for name in widgets.__all__} <= set(_classes())


@pytest.mark.parametrize("cls", _classes(), ids=lambda cls: cls.__name__)
def test_every_trait_of_its_own_is_described(cls: type[traitlets.HasTraits]) -> None:
    own = {name: each for name, each in vars(cls).items() if isinstance(each, traitlets.TraitType)}
    needed = {name for name, each in own.items() if not name.startswith("_") or each.metadata.get("sync")}
    assert needed - _told(cls) - {"_esm", "_css"} == set()
