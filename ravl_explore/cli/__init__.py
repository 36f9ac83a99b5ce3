"""The command ``ravl-explore``; each of its commands is a file here, which loads what it needs when it is run."""

from __future__ import annotations

from typing import Annotated

import typer

from ravl_explore.about import __version__
from ravl_explore.cli import cache, discover, lab, report
from ravl_explore.cli.printing import safe_printing


class _App(typer.Typer):
    """With help and usage errors, too, no printing fails."""

    def __call__(self, *arguments: object, **options: object) -> object:
        with safe_printing():
            return super().__call__(*arguments, **options)


app = _App(
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
    """Find and remove the shortcuts that a fine-tuned CLIP has learned, in JupyterLab or in scripts."""


app.command("lab")(lab.run)
app.command("discover", help=discover.HELP)(discover.run)
app.command("report")(report.run)
app.add_typer(cache.app)
