"""``ravl-explore discover``: the whole search without a notebook, for scripts and CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, Unpack

import typer

from ravl_explore.cli.exit_codes import BAD_INPUT, LIMITS_REACHED, STOPPED, clean_ending
from ravl_explore.cli.limits import Limits
from ravl_explore.cli.printing import complain, say
from ravl_explore.cli.progress_bar import ProgressBar
from ravl_explore.errors import InputError, StorageError
from ravl_explore.support.files import user_path
from ravl_explore.support.text import one_line, storable

if TYPE_CHECKING:
    from ravl_explore.discovery import SpuriousFeature
    from ravl_explore.discovery.search import Search

MOST_SHOWN = 10
Settings = dict[str, Any]
"""What ``settings.json`` holds, nested by what it is about."""

HELP = f"""Find the shortcuts of MODEL in DATA and write tables and a report to OUT.

Writes clusters.parquet (one row a cluster, best first), regions.parquet (one row a region), settings.json,
report.html (opens offline), discovery.safetensors (for rx.load and the report command), and unreadable.csv if images
were skipped. Those of an earlier search there are replaced, all together.

Exit codes: 0 done; {LIMITS_REACHED} a suspect reaches the --fail limits; {BAD_INPUT} bad input, or files that cannot be
read or written; 3 a defect of ravl_explore; {STOPPED} stopped with Ctrl-C.
"""


class Rule(StrEnum):
    """How clusters are ranked; the names of ``discovery.RULES``."""

    paper = "paper"
    released = "released"


def run(
    model: Annotated[
        str,
        typer.Option(
            help="demo:spurious, an open_clip NAME/TAG, hf-hub:ORG/NAME, pubmedclip:ViT32, biomedclip, or a file."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="demo:val, a folder with one subfolder a class, a .csv, .tsv or .parquet table, a COCO .json file, or "
            "KIND:PATH with KIND mnist, fashion-mnist, sun397, object-cxr or hf."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is not there.")],
    regions: Annotated[
        str,
        typer.Option(help="grid:ROWSxCOLS, sliding:SIZE[,STEP], random:N[,SEED], given, detector[:WEIGHTS], or whole."),
    ] = "grid:2x2",
    templates: Annotated[
        list[str] | None,
        typer.Option(help='A prompt such as "a photo of a {}"; repeat it for more.', show_default="the data's own"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps.", show_default="cpu")] = None,
    batch_size: Annotated[int, typer.Option(help="Images embedded at once.")] = 128,
    min_influence: Annotated[float, typer.Option(help="Clusters below this influence are no suspects, 0 to 1.")] = 0.25,
    rule: Annotated[Rule, typer.Option(help="Ranking as in the paper, or as in its released code.")] = Rule.paper,
    clusters: Annotated[
        str | None,
        typer.Option(help="How many, or a range such as 20-49.", show_default="2 to 5 times the classes"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the clustering.")] = 0,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep embeddings on disk: the next run is quicker, and resumes.")
    ] = True,
    max_unreadable: Annotated[int, typer.Option(help="Images that may be skipped, and are listed.")] = 0,
    fail_influence: Annotated[
        float | None, typer.Option(help="Exit with 1 if a suspect's influence reaches this, 0 to 1.")
    ] = None,
    fail_gap: Annotated[
        float | None, typer.Option(help="Exit with 1 if a suspect's gap reaches this; with others: if it reaches all.")
    ] = None,
    fail_q: Annotated[float | None, typer.Option(help="Only if its q-value is at most this, 0 to 1.")] = None,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Also write discovery.safetensors.")] = True,
) -> None:
    """Find the shortcuts of MODEL in DATA and write tables and a report to OUT; see ``HELP``."""
    asked = {"model": model, "data": data, "regions": regions, "device": device}
    resumable = "What is embedded is kept; the same command goes on from there." if cache else ""
    with clean_ending(resumable):
        limits = Limits(fail_influence, fail_gap, fail_q)
        _check_numbers(batch_size, min_influence, seed, max_unreadable)
        n_clusters = _numbers_of_clusters(clusters)
        out = user_path(out)
        _check_folder(out)
        with ProgressBar() as progress:
            found, settings = _search(
                asked,
                progress,
                templates=tuple(templates) if templates else None,
                batch_size=batch_size,
                min_influence=min_influence,
                rule=rule.value,
                n_clusters=n_clusters,
                seed=seed,
                cache=cache,
                max_unreadable=max_unreadable,
            )
            reached = limits.reached_by(found.discovery.features)
            settings["limits"] = limits.given | {"reached_by": [each.cluster for each in reached]}
            progress(0, 0, "Writing results")
            written = _write(found, out, settings, save)
        say(_summary(found, written, [*settings["model"]["assumptions"], *settings["data"]["notes"]]))
        if reached:
            complain(_told(reached, limits))
            raise typer.Exit(LIMITS_REACHED)


class _Options(TypedDict):
    """What :func:`ravl_explore.discovery.search.search` is given as it was typed."""

    templates: tuple[str, ...] | None
    batch_size: int
    min_influence: float
    rule: Literal["paper", "released"]
    n_clusters: int | range | None
    seed: int
    cache: bool
    max_unreadable: int


def _search(asked: dict[str, str], progress: ProgressBar, **options: Unpack[_Options]) -> tuple[Search, Settings]:
    """Open the parts, quick ones first, and search; also what settings.json needs of them."""
    progress(0, 0, "Loading the model and the images")
    from ravl_explore.clustering import automatic
    from ravl_explore.data import open_dataset
    from ravl_explore.data.base import check_templates
    from ravl_explore.data.optional_members import notes_of
    from ravl_explore.discovery.search import search
    from ravl_explore.models import open_model
    from ravl_explore.models.optional import assumptions, description
    from ravl_explore.regions import open_proposer

    proposer = open_proposer(asked["regions"])
    if options["templates"] is not None:
        check_templates(options["templates"])
    data = open_dataset(asked["data"])
    model = open_model(asked["model"], device=asked["device"])
    found = search(model, data, proposer, progress=progress, **options)
    embeddings = found.discovery.scores.embeddings
    settings = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["ravl-explore", *sys.argv[1:]],
        "model": {
            "asked": asked["model"],
            "name": model.name,
            "fingerprint": model.fingerprint(),
            "image_size": model.image_size,
            "dim": model.dim,
            "device": str(model.device),
            "assumptions": list(assumptions(model)),
            **description(model),
        },
        "data": {
            "asked": asked["data"],
            "name": data.name,
            "fingerprint": data.fingerprint(),
            "n_images": len(data),
            "class_names": list(data.class_names),
            "notes": list(notes_of(data)),
        },
        "regions": {
            "asked": asked["regions"],
            "name": embeddings.proposer_name,
            "embedded_by": embeddings.region_method,
        },
        "clusterer": repr(
            automatic(len(data.class_names), len(embeddings.region), options["seed"], options["n_clusters"])
        ),
        "batch_size": options["batch_size"],
        "seed": options["seed"],
        "max_unreadable": options["max_unreadable"],
    }
    return found, settings


def _write(found: Search, out: Path, settings: Settings, save: bool) -> list[str]:
    """Everything is made before the first file is written; returns the names."""
    from ravl_explore.report import report_html
    from ravl_explore.report.tables import REPORT, SAVED, SEARCH, tables, write_files
    from ravl_explore.storage import search_mark, to_bytes

    contents = tables(found.discovery, found.data, settings)
    shown = _for_report(settings) | {SEARCH: search_mark(found.discovery)}
    contents[REPORT] = storable(report_html(found.discovery, found.data, settings=shown)).encode()
    if save:
        contents[SAVED] = to_bytes(found.discovery)
    return [path.name for path in write_files(out, contents, () if save else (SAVED,))]


def _for_report(settings: Settings) -> dict[str, object]:
    """The settings that the page does not show by itself."""
    return {
        "model asked for": settings["model"]["asked"],
        "images asked for": settings["data"]["asked"],
        "seed": settings["seed"],
        **(
            {"notes": " ".join(notes)}
            if (notes := [*settings["model"]["assumptions"], *settings["data"]["notes"]])
            else {}
        ),
        "limits": {name: value for name, value in settings["limits"].items() if name != "reached_by"},
        "limits reached by clusters": settings["limits"]["reached_by"],
        "made": settings["made"],
    }


def _summary(found: Search, written: list[str], notes: list[str]) -> str:
    discovery = found.discovery
    embeddings, suspects = discovery.scores.embeddings, discovery.features
    lines = [
        f"Accuracy {100 * discovery.scores.accuracy:.1f}% on {len(embeddings.labels):,} images "
        f"(guessing gives {100 * discovery.scores.chance:.1f}%); "
        f"{len(embeddings.region):,} regions in {len(discovery.clusters):,} clusters, {len(suspects):,} suspect."
    ]
    lines += [one_line(note) for note in notes]
    if embeddings.unreadable:
        lines.append(f"Skipped, as they could not be read: {len(embeddings.unreadable):,}; see unreadable.csv.")
    if not suspects:
        lines.append(f"Nothing is suspect: {one_line(discovery.why_none())}.")
    else:
        titles = (("rank", 4), ("cluster", 7), ("gap", 6), ("/ class", 7), ("influence", 9), ("p", 6), ("q", 6))
        lines.append(" ".join(f"{title:>{width}}" for title, width in (*titles, ("images", 7))) + "  towards")
    for rank, each in enumerate(suspects[:MOST_SHOWN], start=1):
        lines.append(
            f"{rank:>4} {each.cluster:>7} {each.performance_gap:>6.2f} {each.gap_per_class:>7.3f} "
            f"{each.influence:>9.2f} {each.p_value:>6.3f} "
            f"{each.q_value:>6.3f} {each.n_images:>7,}  {one_line(each.attribute or '-')}"
        )
    if len(suspects) > MOST_SHOWN:
        lines.append(f"and {len(suspects) - MOST_SHOWN:,} more")
    doubt = [discovery.scores.doubt] if discovery.scores.doubt else []
    return "\n".join([*lines, *doubt, f"Written: {', '.join(written)}"])


def _told(reached: Sequence[SpuriousFeature], limits: Limits) -> str:
    named = ", ".join(
        f"cluster {each.cluster} (influence {each.influence:.2f}, gap {each.performance_gap:.2f}, q {each.q_value:.3f})"
        for each in reached[:3]
    )
    more = f" and {len(reached) - 3} more" if len(reached) > 3 else ""
    wanted = ", ".join(f"--fail-{name} {value:g}" for name, value in limits.given.items())
    return f"failed: {named}{more} reach{'es' if len(reached) == 1 else ''} {wanted}"


def _check_numbers(batch_size: int, min_influence: float, seed: int, max_unreadable: int) -> None:
    """What would else be found out after an hour of embedding."""
    for option, value, least, most in (
        ("--batch-size", batch_size, 1, float("inf")),
        ("--min-influence", min_influence, 0, 1),
        ("--seed", seed, 0, 2**32 - 1),
        ("--max-unreadable", max_unreadable, 0, float("inf")),
    ):
        if not least <= value <= most:
            wanted = f"of at least {least}" if most == float("inf") else f"from {least} to {most}"
            raise InputError(f"{option} {wanted}", f"{value:g}", "Mend the number.")


def _numbers_of_clusters(text: str | None) -> int | range | None:
    """``"24"`` or ``"20-49"``, both ends included."""
    if text is None:
        return None
    first, dash, last = text.strip().partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise InputError("--clusters such as 24 or 20-49", repr(text), "Write it like one of these.")
    if int(first) < 2 or (dash and int(last) < int(first)):
        raise InputError("--clusters from 2 up, the smaller number first", repr(text), "Mend the numbers.")
    return range(int(first), int(last) + 1) if dash else int(first)


def _check_folder(out: Path) -> None:
    """Whether results can be written there, without making it yet: bad input must leave nothing behind."""
    place = next(each for each in (out.absolute(), *out.absolute().parents) if os.path.lexists(each))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        what = "cannot be written to" if place.is_dir() else "is a file" if place.exists() else "is a link to nowhere"
        came = f"{str(place)!r}, which {what}"
        raise StorageError("a folder for the results", came, "Give another --out.")
