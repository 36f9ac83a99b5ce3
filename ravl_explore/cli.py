"""The command ``ravl-explore``: ``ravl-explore lab`` copies the notebooks and opens them in JupyterLab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravl_explore import __version__
from ravl_explore.errors import RavlError
from ravl_explore.lab import copy_notebooks, lab_command, lab_environment, run_lab

app = typer.Typer(
    name="ravl-explore",
    no_args_is_help=True,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Find and remove the shortcuts that a fine-tuned CLIP has learned, by hand, in JupyterLab."""


@app.command()
def lab(
    folder: Annotated[
        Path, typer.Argument(help="Where the notebooks go. Files that are already there are kept.")
    ] = Path("ravl-notebooks"),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether JupyterLab opens a browser.")] = True,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8888 or the next free")] = None,
    ip: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="this machine only")] = None,
) -> None:
    """Copy the notebooks into FOLDER and open them in JupyterLab, with the Python that ravl_explore is installed in."""
    try:
        command = lab_command(folder, browser=browser, port=port, ip=ip)
        report = copy_notebooks(folder)
    except RavlError as error:
        typer.echo(f"ravl-explore: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from error
    typer.echo(str(report))
    raise typer.Exit(run_lab(command, lab_environment()))
