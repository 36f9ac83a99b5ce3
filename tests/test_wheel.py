"""The wheel is small and whole, and works where there is no clone: the command, the notebooks and the demo."""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from zipfile import ZipFile

import pytest

import ravl_explore

PACKAGE_FOLDERS = ("site-packages", "dist-packages")
MAX_BYTES = 20_000_000
PACKED = (
    "ravl_explore/notebooks/01_explore.ipynb",
    "ravl_explore/assets/demo/*.npz",
    "ravl_explore/assets/demo/*.safetensors",
    "ravl_explore/assets/demo/bpe.txt.gz",
    "ravl_explore/assets/demo/LICENSE-FashionMNIST",
    "ravl_explore/widgets/static/*.js",
    "ravl_explore/widgets/static/shared/*.js",
    "ravl_explore/widgets/static/*.css",
    "ravl_explore-*.dist-info/licenses/LICENSE",
    "ravl_explore-*.dist-info/licenses/ravl_explore/assets/demo/LICENSE-FashionMNIST",
)
DEMO = """
import ravl_explore as rx
from ravl_explore import data, models
val = data.Demo("val")
scores = rx.zero_shot(rx.embed(models.Demo("spurious"), val))
print(scores.image.shape == (len(val.labels), len(val.class_names)), float((scores.predictions == val.labels).mean()))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; it must succeed, and sees neither the clone nor an activated environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(
        command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=repository)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel in it, where the other packages are those of this environment.

    A path file adds this environment's folder of packages but does not read the path files in it, so an editable
    install of the clone is not seen.
    """
    environment = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=wheel.parent)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=wheel.parent).strip()
    )
    (packages / "shared.pth").write_text("\n".join(path for path in sys.path if Path(path).name in PACKAGE_FOLDERS))
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=wheel.parent)
    return python


@pytest.fixture
def contents(wheel: Path) -> list[str]:
    """The names of the files in the wheel."""
    with ZipFile(wheel) as opened:
        return opened.namelist()


def test_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= MAX_BYTES


@pytest.mark.parametrize("pattern", PACKED)
def test_has(pattern: str, contents: list[str]) -> None:
    assert any(fnmatch(name, pattern) for name in contents), f"no {pattern} among {sorted(contents)}"


def test_has_the_package_and_the_notebooks_and_nothing_else(repository: Path, contents: list[str]) -> None:
    package = {path for path in (repository / "ravl_explore").rglob("*") if path.is_file()}
    expected = {path.relative_to(repository).as_posix() for path in package if "__pycache__" not in path.parts}
    expected |= {f"ravl_explore/notebooks/{path.name}" for path in (repository / "notebooks").glob("*.ipynb")}
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_imports_from_the_wheel_with_its_version(installed: Path, tmp_path: Path) -> None:
    script = (
        "import importlib.metadata as m, ravl_explore as r; print(r.__file__, r.__version__, m.version('ravl-explore'))"
    )
    file, *versions = run(installed, "-c", script, cwd=tmp_path).split()
    assert installed.parent.parent in Path(file).parents
    assert versions == [ravl_explore.__version__] * 2


def test_command_says_its_version(installed: Path, tmp_path: Path) -> None:
    command = installed.with_name("ravl-explore")
    assert run(command, "--version", cwd=tmp_path, PATH="") == f"{ravl_explore.__version__}\n"


def test_notebooks_are_copied_from_the_wheel(installed: Path, repository: Path, tmp_path: Path) -> None:
    script = "from ravl_explore.cli.notebooks import copy_notebooks; print(*copy_notebooks('n').copied, sep='\\n')"
    copied = run(installed, "-c", script, cwd=tmp_path).splitlines()
    assert copied == sorted(path.name for path in (repository / "notebooks").glob("*.ipynb"))
    for name in copied:
        assert (tmp_path / "n" / name).read_bytes() == (repository / "notebooks" / name).read_bytes()


def test_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    as_expected, accuracy = run(installed, "-c", DEMO, cwd=tmp_path).split()
    assert as_expected == "True"
    assert 0.3 < float(accuracy) <= 1, "ten classes: far better than by chance"
