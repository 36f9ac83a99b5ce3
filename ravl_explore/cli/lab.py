"""``ravl-explore lab``: copies the notebooks and opens them in JupyterLab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravl_explore.cli.exit_codes import clean_ending
from ravl_explore.cli.notebooks import copy_notebooks, lab_command, lab_environment, run_lab
from ravl_explore.cli.printing import say
from ravl_explore.support.text import one_line


def run(
    folder: Annotated[
        Path, typer.Argument(help="Where the notebooks go. Files that are already there are kept.")
    ] = Path("ravl-notebooks"),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether JupyterLab opens a browser.")] = True,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8888 or the next free")] = None,
    ip: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="this machine only")] = None,
) -> None:
    """Copy the notebooks into FOLDER and open them in JupyterLab, with the Python that ravl_explore is installed in."""
    with clean_ending():
        command = lab_command(folder, browser=browser, port=port, ip=ip)
        for line in str(copy_notebooks(folder)).splitlines():
            say(one_line(line))
        raise typer.Exit(run_lab(command, lab_environment()))
