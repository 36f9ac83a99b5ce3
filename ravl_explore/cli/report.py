"""``ravl-explore report``: a saved discovery as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravl_explore.cli.exit_codes import clean_ending
from ravl_explore.cli.printing import complain, say
from ravl_explore.support.text import one_line, storable


def run(
    discovery: Annotated[Path, typer.Argument(help="What discover saved as discovery.safetensors, or rx.save.")],
    data: Annotated[
        str | None, typer.Option(help="The images that were searched, as for discover; without them no crops.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write; an older one is replaced.")] = Path("report.html"),
) -> None:
    """Make the report of a saved DISCOVERY: one page that opens offline."""
    with clean_ending():
        from ravl_explore.data import open_dataset
        from ravl_explore.discovery import Discovery
        from ravl_explore.errors import InputError
        from ravl_explore.report import report_html
        from ravl_explore.report.marks import of_other_searches
        from ravl_explore.report.tables import SEARCH
        from ravl_explore.storage import load, search_mark
        from ravl_explore.support.files import user_path, write_whole

        found = load(discovery)
        if not isinstance(found, Discovery):
            raise InputError("a saved Discovery", f"{type(found).__name__} in {str(discovery)!r}", "Name another file.")
        images = None if data is None else found.scores.embeddings.of(open_dataset(data))
        mark = search_mark(found)
        page = report_html(found, images, settings={SEARCH: mark})
        written = write_whole(user_path(out), storable(page).encode())
        others = [name for name in of_other_searches(user_path(discovery).parent, mark) if name != discovery.name]
        if others:
            complain(f"beside {str(discovery)!r} are results of another search: {', '.join(others)}.")
        say(f"Written: {one_line(written)}")
