"""``ravl-explore cache``: what embeddings are stored on this machine, and how to free the room."""

from __future__ import annotations

from typing import Annotated

import typer

from ravl_explore.cli.exit_codes import clean_ending
from ravl_explore.cli.printing import say
from ravl_explore.errors import InputError
from ravl_explore.support.text import one_line

app = typer.Typer(name="cache", no_args_is_help=True, help="List or clear the embeddings stored on this machine.")
UNITS = ("B", "kB", "MB", "GB", "TB")


@app.command("list")
def show() -> None:
    """List the stored embeddings, newest first."""
    with clean_ending():
        from ravl_explore.embedding.cache import list_cached
        from ravl_explore.embedding.folders import embeddings_folder

        entries = list_cached()
        for each in entries:
            what = f"{one_line(each.model_name)} on {one_line(each.data_name)}" if each.model_name else "not readable"
            state = "" if each.complete else ", not complete"
            say(
                f"{one_line(each.folder.name)}  {each.modified:%Y-%m-%d %H:%M}  {size(each.bytes):>9}  {what}: "
                f"{each.n_images:,} images, {each.n_regions:,} regions{state}"
            )
        total = size(sum(each.bytes for each in entries))
        where = one_line(embeddings_folder())
        say(f"{len(entries)} stored in {where}, {total}" if entries else "Nothing is stored.")


@app.command("clear")
def clear(
    name: Annotated[str | None, typer.Argument(help="The entry to delete, or how its name begins.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all entries.")] = False,
) -> None:
    """Delete stored embeddings; they are made again when needed."""
    with clean_ending():
        from ravl_explore.embedding.cache import clear_cached, list_cached

        if (name is None) == (not everything):
            came = "neither" if name is None else "both"
            raise InputError("the name of an entry, or --all", came, "See 'ravl-explore cache list' for the names.")
        folder = None
        if name is not None:
            known = [each.folder for each in list_cached()]
            fits = [each for each in known if each.name == name] or [
                e for e in known if name and e.name.startswith(name)
            ]
            if len(fits) != 1:
                came = f"{name!r}, which fits {len(fits)} of {len(known)}"
                raise InputError("the name of one entry", came, "See 'ravl-explore cache list' for the names.")
            folder = fits[0]
        say(f"Freed {size(clear_cached(folder))}.")


def size(n_bytes: float) -> str:
    """Bytes for people.

    >>> size(12), size(2_048_000), size(3e15)
    ('12 B', '2.0 MB', '3000.0 TB')
    """
    unit = 0
    while n_bytes >= 1000 and unit < len(UNITS) - 1:
        n_bytes, unit = n_bytes / 1000, unit + 1
    return f"{n_bytes:.1f} {UNITS[unit]}" if unit else f"{n_bytes:.0f} B"
