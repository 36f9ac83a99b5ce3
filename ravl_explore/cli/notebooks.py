"""Puts the packaged notebooks into a folder and says how to start JupyterLab on them with this very interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ravl_explore.errors import DataError, InputError, MissingDependencyError, StorageError
from ravl_explore.support.files import user_path, write_whole

FIRST_NOTEBOOK = "01_explore.ipynb"
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class CopyReport:
    """Which notebooks were copied and which were already there, by name, in reading order."""

    folder: Path
    copied: tuple[str, ...]
    kept: tuple[str, ...]

    def __str__(self) -> str:
        """Sentences for a person: what was written where, and what was left alone."""
        lines = []
        if self.copied:
            lines.append(f"Copied to {self.folder}: {', '.join(self.copied)}")
        if self.kept:
            lines.append(f"Kept as they were in {self.folder}: {', '.join(self.kept)}")
        return "\n".join(lines)


def copy_notebooks(folder: Path | str, source: Path | str | None = None) -> CopyReport:
    """Copy the package's notebooks into a folder; a file that is already there stays as it is.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    source : path, optional
        Where the notebooks are; by default those that came with the package.

    Raises
    ------
    DataError
        If the package has no notebooks.
    StorageError
        If the folder cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(made) / "01_explore.ipynb").write_text("{}")
    ...     first, second = copy_notebooks(folder, made), copy_notebooks(folder, made)
    >>> first.copied, first.kept, second.copied, second.kept
    (('01_explore.ipynb',), (), (), ('01_explore.ipynb',))
    """
    folder = user_path(folder).absolute()
    notebooks = sorted((notebooks_folder() if source is None else user_path(source)).glob("*.ipynb"))
    if not notebooks:
        raise DataError("notebooks with the package", "none", "Install the package anew.")
    copied, kept = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in notebooks:
            (copied if _copy_new(notebook, folder / notebook.name) else kept).append(notebook.name)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"a folder that can be written to at {folder}", error.strerror or str(error), "Name another folder."
        ) from error
    return CopyReport(folder, tuple(copied), tuple(kept))


def notebooks_folder() -> Path:
    """The folder of the packaged notebooks: inside an installed wheel, beside the package in a clone."""
    candidates = (PACKAGE / "notebooks", PACKAGE.parent / "notebooks")
    for candidate in candidates:
        if any(candidate.glob("*.ipynb")):
            return candidate
    raise DataError("the package's notebooks", "none at " + " or ".join(map(str, candidates)), "Install it anew.")


def lab_command(
    folder: Path | str,
    *,
    browser: bool = True,
    port: int | None = None,
    ip: str | None = None,
    root: bool | None = None,
) -> list[str]:
    """The command that opens JupyterLab in a folder, on its first notebook, with the interpreter that runs this.

    The notebook is the server's default page, so the address that is printed opens it, too.

    Parameters
    ----------
    folder : path
        JupyterLab's root folder.
    browser : bool
        Whether JupyterLab opens a browser.
    port : int, optional
        1 to 65535; by default JupyterLab's own choice, 8888 or the next that is free.
    ip : str, optional
        The address to listen on; by default this machine only.
    root : bool, optional
        Whether the user is root, to whom Jupyter must be told that this is meant; found out by default.

    Examples
    --------
    >>> lab_command("/tmp/notebooks", browser=False, port=8890, root=False)[1:4]
    ['-m', 'jupyterlab', '--LabApp.default_url=/lab/tree/01_explore.ipynb']
    """
    if port is not None and not 1 <= port <= 65535:
        raise InputError("a port from 1 to 65535", str(port), "Leave --port out to take the next that is free.")
    if find_spec("jupyterlab") is None:
        raise MissingDependencyError(
            "JupyterLab beside ravl_explore",
            "an environment without it",
            f"Install it: {sys.executable} -m pip install jupyterlab",
        )
    folder = user_path(folder).absolute()
    page = f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}"
    command = [sys.executable, "-m", "jupyterlab", page, f"--ServerApp.root_dir={folder}"]
    if not browser:
        command.append("--no-browser")
    if port is not None:
        command.append(f"--port={port}")
    if ip is not None:
        command.append(f"--ip={ip}")
    if _is_root() if root is None else root:
        command.append("--allow-root")
    return command


def lab_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for `lab_command`: this interpreter's own kernel wins over one that the user installed.

    Jupyter looks up the kernel named "python3" on a path of folders and, outside an activated environment, may find the
    user's first; that one need not have ravl_explore. Jupyter runs this environment's kernel with ``sys.executable``,
    so PATH plays no part.
    """
    return {**(os.environ if base is None else base), "JUPYTER_PREFER_ENV_PATH": "1"}


def run_lab(command: list[str], environment: Mapping[str, str]) -> int:
    """Become JupyterLab, so that Ctrl-C, signals and the exit code are its own; where that cannot be, wait for it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None where it was closed
            stream.flush()
    if _can_become():
        os.execve(command[0], command, dict(environment))
    process = subprocess.Popen(command, env=dict(environment))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # JupyterLab got it too, and shuts down in its own time
            continue


def _copy_new(source: Path, target: Path) -> bool:
    """Copy a file, whole or not at all, unless something of that name is there."""
    if os.path.lexists(target):
        return False
    write_whole(target, source.read_bytes())
    return True


def _can_become() -> bool:
    """On Windows, exec starts another process and returns the prompt at once."""
    return os.name == "posix"


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
