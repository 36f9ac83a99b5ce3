"""discover and report on the command line: files, exit codes, one-line errors, and the same ranking as in Python."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import ravl_explore as rx
from ravl_explore import cli
from ravl_explore.cli.limits import Limits
from ravl_explore.cli.progress_bar import ProgressBar
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.discovery.search import Search
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.errors import InputError, StorageError

COMMAND = Path(sys.executable).with_name("ravl-explore")
FILES = {"clusters.parquet", "regions.parquet", "settings.json", "report.html", "discovery.safetensors"}


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line."""
    result = CliRunner().invoke(cli.app, [str(each) for each in arguments])
    return result.exit_code, result.stdout, result.stderr


class Found:
    """What the searches of a test find, and what they were asked."""

    def __init__(self, discovery: Any) -> None:
        embeddings = discovery.scores.embeddings
        images = np.zeros((len(embeddings.labels), 4, 4, 3), np.uint8)
        self.discovery = discovery
        self.data = ArrayDataset(images, embeddings.labels, embeddings.class_names, name="pictures")
        self.asked: dict[str, Any] = {}
        self.fails: BaseException | None = None
        self.assumed: tuple[str, ...] = ()

    def search(self, model: Any, data: Any, proposer: Any, *, progress: Any, **options: Any) -> Search:
        self.asked = {"model": model.asked, "device": model.on, "data": data, "proposer": proposer, **options}
        progress(0, 3, "Embedding images")
        if self.fails is not None:
            raise self.fails
        return Search(self.discovery, self.data)

    def open_model(self, text: str, device: str | None = None) -> Any:
        return SimpleNamespace(
            asked=text, on=device, name="tiny", fingerprint=lambda: "f00d", image_size=8, dim=6, device="cpu",
            assumptions=self.assumed,
        )  # fmt: skip


@pytest.fixture
def found(make_discovery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Found:
    """Replaces the model, the images and the search; regions, tables and report are real."""
    here = Found(make_discovery(min_influence=0.3))
    monkeypatch.setattr("ravl_explore.models.open_model", here.open_model)
    monkeypatch.setattr("ravl_explore.data.open_dataset", lambda text: here.data)
    monkeypatch.setattr("ravl_explore.discovery.search.search", here.search)
    return here


@pytest.mark.parametrize(("text", "numbers"), [("24", 24), ("20-49", range(20, 50)), (" 2-2 ", range(2, 3))])
def test_numbers_of_clusters(found: Found, tmp_path: Path, text: str, numbers: Any) -> None:
    arguments = ("--model", "m", "--data", "d", "--out", str(tmp_path / "out"), "--clusters", text)
    assert run("discover", *arguments)[0] == 0
    assert found.asked["n_clusters"] == numbers


@pytest.mark.parametrize("text", ["1", "20-10", "many", "-5", "2-3-4", ""])
def test_bad_numbers_of_clusters(found: Found, tmp_path: Path, text: str) -> None:
    arguments = ("--model", "m", "--data", "d", "--out", str(tmp_path / "out"), f"--clusters={text}")
    code, _, err = run("discover", *arguments)
    assert code == 2 and "--clusters" in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("guesses", [True, False])
def test_what_guessing_gives_is_told_and_a_model_that_may_as_well_guess(
    found: Found, tmp_path: Path, guesses: bool
) -> None:
    scores = found.discovery.scores
    labels = scores.embeddings.labels
    said = np.random.default_rng(0).permutation(labels) if guesses else labels
    image = np.zeros_like(scores.image)
    image[np.arange(len(labels)), said] = 1.0
    found.discovery = replace(found.discovery, scores=replace(scores, image=image))
    code, out, _ = run("discover", "--model", "m", "--data", "d", "--out", str(tmp_path / "out"))
    share = np.bincount(labels).max() / len(labels)
    assert code == 0 and f"(guessing gives {100 * share:.1f}%)" in out.splitlines()[0]
    doubt = found.discovery.scores.doubt
    assert bool(doubt) == guesses and ("may as well guess" in out.splitlines()[-2]) == guesses
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["accuracy_of_guessing"] == pytest.approx(share)


def test_what_was_left_out_or_assumed_is_told(found: Found, tmp_path: Path) -> None:
    found.data.notes = ("3 rows were dropped.",)  # type: ignore[attr-defined]
    found.assumed = ("QuickGELU was assumed.",)
    code, out, _ = run("discover", "--model", "m", "--data", "d", "--out", str(tmp_path / "out"))
    assert code == 0 and "3 rows were dropped.\n" in out and "QuickGELU was assumed.\n" in out
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["data"]["notes"] == ["3 rows were dropped."]
    assert settings["model"]["assumptions"] == ["QuickGELU was assumed."]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 rows were dropped." in page and "QuickGELU was assumed." in page


def test_it_writes_tables_settings_report_and_discovery(found: Found, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    code, told, err = run(
        "discover", "--model", "m", "--data", "d", "--out", out, "--regions", "grid:3x1", "--seed", 5,
        "--templates", "a {}", "--templates", "the {}", "--device", "cpu", "--rule", "released", "--no-cache",
        "--max-unreadable", 3, "--batch-size", 9, "--min-influence", 0.5,
    )  # fmt: skip
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == FILES
    assert found.asked["proposer"].rows == 3 and found.asked["templates"] == ("a {}", "the {}")
    expected = {"model": "m", "device": "cpu", "rule": "released", "seed": 5, "cache": False, "batch_size": 9}
    expected |= {"max_unreadable": 3, "min_influence": 0.5}
    assert {name: found.asked[name] for name in expected} == expected
    frame = pd.read_parquet(out / "clusters.parquet")
    assert frame["cluster"].tolist() == found.discovery.frame()["cluster"].tolist()
    assert rx.load(out / "discovery.safetensors").frame().equals(found.discovery.frame())
    settings = json.loads((out / "settings.json").read_text())
    assert settings["model"]["asked"] == "m" and settings["model"]["fingerprint"] == "f00d"
    assert settings["data"]["asked"] == "d" and settings["data"]["n_images"] == 60
    assert settings["regions"]["asked"] == "grid:3x1" and settings["seed"] == 5
    assert "<h1" in (out / "report.html").read_text()
    best = found.discovery.best
    assert f"{best.cluster:>7} {best.performance_gap:>6.2f}" in told.splitlines()[2]
    assert told.splitlines()[-1].startswith("Written: clusters.parquet")


def test_defaults(found: Found, tmp_path: Path) -> None:
    assert run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o", "--no-save")[0] == 0
    assert {path.name for path in (tmp_path / "o").iterdir()} == FILES - {"discovery.safetensors"}
    assert (found.asked["proposer"].rows, found.asked["proposer"].cols) == (2, 2)
    assert found.asked["templates"] is None and found.asked["rule"] == "paper" and found.asked["cache"] is True
    assert found.asked["min_influence"] == 0.25 and found.asked["max_unreadable"] == 0


def test_a_log_gets_plain_lines_on_standard_error(found: Found, tmp_path: Path) -> None:
    _, out, err = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert err.splitlines() == ["Loading the model and the images", "Embedding images: 0 of 3", "Writing results"]
    assert "Embedding" not in out


def test_skipped_images_are_told_and_listed(found: Found, tmp_path: Path) -> None:
    embeddings = replace(found.discovery.scores.embeddings, unreadable=(Unreadable(2, "/x.png", "cut short"),))
    found.discovery = replace(found.discovery, scores=replace(found.discovery.scores, embeddings=embeddings))
    code, out, _ = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o", "--max-unreadable", 1)
    assert code == 0 and "Skipped, as they could not be read: 1;" in out
    assert "2,/x.png,cut short" in (tmp_path / "o" / "unreadable.csv").read_text()


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("option", ["--fail-influence", "--fail-gap", "--fail-q"])
def test_exit_code_1_when_a_suspect_reaches_a_limit(option: str, above: bool, found: Found, tmp_path: Path) -> None:
    suspects = found.discovery.features
    limit = {
        "--fail-influence": max(each.influence for each in suspects) + (1e-6 if above else 0),
        "--fail-gap": max(each.performance_gap for each in suspects) + (1e-6 if above else 0),
        "--fail-q": min(each.q_value for each in suspects) - (1e-6 if above else 0),
    }[option]
    if limit > 1 and option == "--fail-influence":
        found.discovery = replace(
            found.discovery, clusters=tuple(replace(each, influence=0.5) for each in found.discovery.clusters)
        )
        limit = 0.5 + 1e-6
    out = tmp_path / "o"
    code, told, err = run("discover", "--model", "m", "--data", "d", "--out", out, option, repr(limit))
    assert code == (0 if above else 1)
    assert {path.name for path in out.iterdir()} == FILES, "the results are there all the same"
    assert "Written:" in told
    last = err.splitlines()[-1]
    assert last.startswith("ravl-explore: failed: cluster ") != above
    assert above or option in last
    reached = json.loads((out / "settings.json").read_text())["limits"]["reached_by"]
    assert bool(reached) != above


def test_one_suspect_must_reach_all_limits_that_are_set(found: Found) -> None:
    one, other = (replace(each, kept=True) for each in found.discovery.clusters[:2])
    one = replace(one, influence=0.9, performance_gap=0.1, q_value=0.01)
    other = replace(other, influence=0.3, performance_gap=2.0, q_value=0.5)
    assert Limits(influence=0.9, gap=2.0).reached_by([one, other]) == []
    assert Limits(influence=0.9, gap=0.1).reached_by([one, other]) == [one]
    assert Limits(influence=0.3, gap=0.1).reached_by([one, other]) == [one, other]
    assert Limits(gap=0.1, q=0.05).reached_by([one, other]) == [one]
    assert Limits().reached_by([one, other]) == []
    assert Limits(gap=0.1).reached_by([replace(one, performance_gap=float("nan"))]) == []
    assert Limits(influence=0.0).reached_by([replace(one, influence=float("-inf"))]) == []
    assert Limits(gap=0.1).given == {"gap": 0.1}


def test_a_pruned_cluster_fails_nothing(found: Found, tmp_path: Path) -> None:
    clusters = tuple(replace(each, kept=False, reason="influence 0.10 below 0.25") for each in found.discovery.clusters)
    found.discovery = replace(found.discovery, clusters=clusters)
    code, out, _ = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o", "--fail-gap", 0)
    assert code == 0 and "Nothing is suspect" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--regions", "hexagons"], "grid:2x2"),
        (["--regions", "grid:0x2"], "at least one row"),
        (["--model", "demo:nonsense"], "demo"),
        (["--model", "{here}/none.pt"], "none.pt"),
        (["--model", "{here}/junk.safetensors"], "junk.safetensors"),
        (["--model", ""], "Expected"),
        (["--data", "{here}/nowhere"], "nowhere"),
        (["--data", "demo:nonsense"], "demo"),
        (["--data", "{here}/table.csv"], "table.csv"),
        (["--data", ""], "Expected"),
        (["--device", "toaster"], "a device"),
        (["--templates", "a photo"], "a template with one {{}}"),
        (["--batch-size", "0"], "--batch-size of at least 1"),
        (["--min-influence", "1.5"], "--min-influence from 0 to 1"),
        (["--min-influence", "nan"], "--min-influence from 0 to 1"),
        (["--seed", "-1"], "--seed from 0"),
        (["--max-unreadable", "-1"], "--max-unreadable of at least 0"),
        (["--fail-influence", "2"], "--fail-influence from 0 to 1"),
        (["--fail-gap", "-0.1"], "--fail-gap of at least 0"),
        (["--fail-gap", "nan"], "--fail-gap of at least 0"),
        (["--fail-q", "5"], "--fail-q from 0 to 1"),
        (["--out", "{here}/table.csv"], "which is a file"),
        (["--out", "{here}/table.csv/inner"], "which is a file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("neither,fish\n1,2\n")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    before = sorted(tmp_path.rglob("*"))
    options = {"--model": "demo:spurious", "--data": "demo:val", "--out": str(tmp_path / "out")}
    options |= dict(zip(arguments[::2], (each.format(here=tmp_path) for each in arguments[1::2]), strict=True))
    code, out, err = run("discover", *(part for pair in options.items() for part in pair))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("ravl-explore: Expected ") and said.format() in err.splitlines()[-1]
    assert set(err.splitlines()[:-1]) <= {"Loading the model and the images"}
    assert sorted(tmp_path.rglob("*")) == before


def test_usage_errors_have_the_same_code() -> None:
    assert run("discover", "--model", "demo:spurious")[0] == 2
    assert run("discover", "--model", "m", "--data", "d", "--out", "o", "--rule", "mine")[0] == 2


@pytest.mark.parametrize("option", ["--cache", "--no-cache"])
def test_ctrl_c_says_how_to_go_on(option: str, found: Found, tmp_path: Path) -> None:
    found.fails = KeyboardInterrupt()
    code, out, err = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o", option)
    assert (code, out) == (130, "") and not (tmp_path / "o").exists()
    last = err.splitlines()[-1]
    assert last.startswith("ravl-explore: stopped.") and ("goes on from there" in last) == (option == "--cache")


def test_a_defect_is_no_finding(found: Found, tmp_path: Path) -> None:
    found.fails = ZeroDivisionError("of ours")
    code, out, err = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert (code, out) == (3, "") and "ZeroDivisionError: of ours" in err and "please report" in err


def test_nothing_is_written_when_the_report_fails(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise StorageError("images", "a drive that went away", "Plug it in.")

    monkeypatch.setattr("ravl_explore.report.report_html", fail)
    code, _, err = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert code == 2 and "went away" in err and not (tmp_path / "o").exists()


# --- what is written over an earlier search ---------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def another(found: Found, make_discovery: Callable[..., Any]) -> None:
    here = Found(make_discovery(1, n_clusters=8, min_influence=0.3))
    found.discovery, found.data = here.discovery, here.data


def clusters_by_file(folder: Path) -> set[int]:
    """How many clusters each file of a folder knows of."""
    return {
        pd.read_parquet(folder / "clusters.parquet")["cluster"].max() + 1,
        pd.read_parquet(folder / "regions.parquet")["cluster"].max() + 1,
        json.loads((folder / "settings.json").read_text())["clustering"]["n_clusters"],
        rx.load(folder / "discovery.safetensors").clustering.n_clusters,
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill")
@pytest.mark.parametrize(("step", "n"), [("fsync", 1), ("fsync", 3), ("fsync", 5), ("_exchange", 1)])
def test_a_kill_leaves_the_files_of_one_search(
    found: Found, make_discovery: Callable[..., Any], tmp_path: Path, step: str, n: int
) -> None:
    from ravl_explore.cli.discover import _write
    from tests.unit.support.test_files import killed_at

    settings: dict[str, Any] = {
        "model": {"asked": "m", "assumptions": []}, "data": {"asked": "d", "notes": []}, "seed": 0,
        "limits": {"reached_by": []}, "made": "now",
    }  # fmt: skip
    _write(Search(found.discovery, found.data), tmp_path / "o", settings, True)
    old = clusters_by_file(tmp_path / "o")
    another(found, make_discovery)
    assert killed_at(step, True, n, lambda: _write(Search(found.discovery, found.data), tmp_path / "o", settings, True))
    assert clusters_by_file(tmp_path / "o") == (old if step == "fsync" else {8}) and len(old) == 1
    _write(Search(found.discovery, found.data), tmp_path / "o", settings, True)
    assert clusters_by_file(tmp_path / "o") == {8} and [each.name for each in tmp_path.iterdir()] == ["o"]


@pytest.mark.parametrize("n", [1, 4, 5])
def test_a_full_disk_changes_nothing(
    found: Found, make_discovery: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    arguments = ("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert run(*arguments)[0] == 0
    before, real, taken = contents(tmp_path / "o"), os.fsync, [0]
    another(found, make_discovery)

    def full(handle: int) -> None:
        taken[0] += 1
        if taken[0] == n:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run(*arguments)
    assert code == 2 and "nothing was changed" in err.splitlines()[-1]
    assert contents(tmp_path / "o") == before and [each.name for each in tmp_path.iterdir()] == ["o"]


def test_without_saving_the_older_discovery_goes(
    found: Found, make_discovery: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = ("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert run(*arguments)[0] == 0
    another(found, make_discovery)
    assert run(*arguments, "--no-save")[0] == 0
    assert set(contents(tmp_path / "o")) == FILES - {"discovery.safetensors"}


def test_files_of_two_searches_are_told(found: Found, make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    """As where the files could not be put in place in one step, and a kill came between two."""
    for name in ("old", "new"):
        assert run("discover", "--model", "m", "--data", "d", "--out", tmp_path / name)[0] == 0
        another(found, make_discovery)
    saved, page = tmp_path / "old" / "discovery.safetensors", tmp_path / "page.html"
    assert run("report", saved, "--out", page)[2] == ""
    for n, name in enumerate(("clusters.parquet", "regions.parquet", "settings.json", "report.html"), start=1):
        (tmp_path / "new" / name).replace(tmp_path / "old" / name)
        code, _, err = run("report", saved, "--out", page)
        assert code == 0 and err.count("\n") == 1 and err.count(".parquet") == min(n, 2)
        assert "are results of another search" in err and name in err
    (tmp_path / "new" / "discovery.safetensors").replace(tmp_path / "old" / "other.safetensors")
    assert "discovery.safetensors" in run("report", tmp_path / "old" / "other.safetensors", "--out", page)[2]
    for name in ("settings.json", "clusters.parquet", "report.html"):
        (tmp_path / "old" / name).write_bytes(b"\xff[")
    assert run("report", saved, "--out", page)[0] == 0


def test_a_tilde_is_the_home_folder(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("discover", "--model", "m", "--data", "d", "--out", "~/o")[0] == 0
    assert set(contents(tmp_path / "o")) == FILES
    assert run("report", "~/o/discovery.safetensors", "--out", "~/page.html")[0] == 0
    assert (tmp_path / "page.html").is_file()


def test_a_link_to_nowhere_is_no_folder_for_results(found: Found, tmp_path: Path) -> None:
    (tmp_path / "o").symlink_to(tmp_path / "gone")
    code, _, err = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert code == 2 and "which is a link to nowhere" in err and found.asked == {}


@pytest.mark.parametrize("kind", ["EACCES", "EROFS", "ENOSPC", "EIO"])
def test_a_closed_or_broken_disk_is_no_defect(found: Found, tmp_path: Path, kind: str) -> None:
    found.fails = OSError(getattr(errno, kind), os.strerror(getattr(errno, kind)), "/some/where")
    code, _, err = run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")
    assert code == 2 and err.splitlines()[-1].startswith("ravl-explore: Expected files that can be read and written")
    assert "/some/where" in err
    found.fails = OSError("of no kind")
    assert run("discover", "--model", "m", "--data", "d", "--out", tmp_path / "o")[0] == 3


def test_names_that_are_not_utf8_reach_every_file(found: Found, tmp_path: Path) -> None:
    odd = ("caf\udce9", "b", "c")
    embeddings = replace(found.discovery.scores.embeddings, class_names=odd, data_name="d\udcff")
    found.discovery = replace(found.discovery, scores=replace(found.discovery.scores, embeddings=embeddings))
    found.data.class_names = odd
    code, _, err = run("discover", "--model", "m", "--data", "d\udce9", "--out", tmp_path / "o")
    assert code == 0, err
    for name in FILES - {"discovery.safetensors", "clusters.parquet", "regions.parquet"}:
        assert "caf\\udce9" in (tmp_path / "o" / name).read_text(encoding="utf-8").replace("\\\\", "\\")
    assert "caf\\udce9" in set(pd.read_parquet(tmp_path / "o" / "regions.parquet")["prediction"])


# --- where output goes ------------------------------------------------------------------------------------------------

PRINTING = r"""
import sys
from types import SimpleNamespace
import ravl_explore.cli.discover as d
from ravl_explore.cli import app
class Features(list): features = ()
def search(asked, progress, **options):
    progress(0, 2, "K\u00f6ln \u72d7 caf\udce9")
    discovery = SimpleNamespace(features=[SimpleNamespace(cluster=0, influence=1.0, performance_gap=1.0, q_value=0.0)])
    return SimpleNamespace(discovery=discovery), {"model": {"assumptions": []}, "data": {"notes": []}}
d._search, d._write = search, lambda *_: []
d._summary = lambda *_: "\u72d7 caf\udce9 " * 10_000
app(sys.argv[1:])
"""
DISCOVER = ("discover", "--model", "m", "--data", "d", "--out", "o")


def printing(*arguments: str, redirect: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command, its search replaced, with its output sent somewhere by a shell."""
    command = ["bash", "-c", f'"$0" -c "$1" "${{@:2}}" {redirect}', sys.executable, PRINTING, *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=300, check=False)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "shift_jis"])
def test_what_an_encoding_lacks_becomes_escapes(encoding: str) -> None:
    done = printing(*DISCOVER, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"caf\\udce9" in done.stdout and b"caf\\udce9" in done.stderr
    if encoding in ("cp1252", "ascii"):
        assert b"\\u72d7" in done.stdout
    for arguments in (["--help"], ["discover", "--help"], ["discover", "--b\udce9\u72d7"]):
        done = printing(*arguments, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert done.returncode == (2 if len(arguments[-1]) != 6 else 0) and b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize(
    ("redirect", "code"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 0),
        ("2>&1 | true; exit ${PIPESTATUS[0]}", 0),
        (">&-", 0),
        (">&- 2>&-", 0),
        ("> /dev/full", 2),
        ("2> /dev/full", 0),
    ],
)
def test_output_that_nobody_reads_changes_no_exit_code(redirect: str, code: int) -> None:
    for arguments, expected in ((DISCOVER, code), ((*DISCOVER, "--fail-gap", "0.5"), code or 1)):
        done = printing(*arguments, redirect=redirect)
        assert done.returncode == expected, done.stderr
        assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    assert b"No space left" in done.stderr or redirect != "> /dev/full"
    assert printing("--help", redirect=redirect).returncode == 0
    assert printing("discover", "--nonsense", redirect=redirect).returncode == 2


def test_report_of_a_saved_discovery(found: Found, tmp_path: Path) -> None:
    saved, page = rx.save(found.discovery, tmp_path / "d.safetensors"), tmp_path / "page.html"
    assert run("report", saved, "--out", page) == (0, f"Written: {page}\n", "")
    without = page.read_text()
    assert "<img" not in without and "--data" in without
    assert run("report", saved, "--data", "d", "--out", page)[0] == 0
    assert "<img" in page.read_text()


def test_report_without_the_skipped_images(found: Found, tmp_path: Path) -> None:
    embeddings = replace(found.discovery.scores.embeddings, unreadable=(Unreadable(0, "/0.png", "cut short"),))
    discovery = replace(found.discovery, scores=replace(found.discovery.scores, embeddings=embeddings))
    saved = rx.save(discovery, tmp_path / "d.safetensors")
    images = np.zeros((61, 4, 4, 3), np.uint8)
    found.data = ArrayDataset(images, np.r_[0, embeddings.labels], embeddings.class_names)
    code, _, err = run("report", saved, "--data", "d", "--out", tmp_path / "page.html")
    assert code == 0, err
    assert "/0.png" in (tmp_path / "page.html").read_text()


def test_report_refuses_what_is_no_discovery_or_not_its_data(found: Found, tmp_path: Path) -> None:
    saved = rx.save(found.discovery, tmp_path / "d.safetensors")
    embeddings = rx.save(found.discovery.scores.embeddings, tmp_path / "e.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(saved.read_bytes()[:1000])
    page = tmp_path / "page.html"
    for file, said in ((embeddings, "a saved Discovery"), (tmp_path / "none", "no such file")):
        code, _, err = run("report", file, "--out", page)
        assert (code, err.count("\n")) == (2, 1) and said in err
    assert run("report", tmp_path / "cut.safetensors", "--out", page)[0] == 2
    found.data = ArrayDataset(np.zeros((3, 4, 4, 3), np.uint8), [0, 1, 2], found.data.class_names)
    code, _, err = run("report", saved, "--data", "d", "--out", page)
    assert code == 2 and "of these 3 images" in err and not page.exists()
    assert run("report", saved, "--out", tmp_path / "none" / "page.html")[0] == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    terminal = Terminal()
    with ProgressBar(terminal) as progress:
        progress(0, 0, "Loading")
        progress(2, 4, "Embedding images")
        progress(4, 4, "Embedding images")
    drawn = terminal.getvalue()
    assert "Loading" in drawn and "Embedding images:  50%" in drawn and "4/4" in drawn
    assert drawn.endswith("\n")


def test_a_terminal_of_no_width_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    terminal = Terminal()
    with ProgressBar(terminal) as progress:
        progress(1, 4, "Embedding images")
    assert terminal.getvalue() == "Embedding images: 1 of 4\n"


def test_a_log_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ravl_explore.cli.progress_bar.time.monotonic", lambda: now[0])
    log = io.StringIO()
    with ProgressBar(log) as progress:
        for done in range(101):
            progress(done, 100, "Embedding images")
            now[0] += 1
        progress(100, 100, "Embedding images")
    lines = log.getvalue().splitlines()
    assert lines == [f"Embedding images: {done} of 100" for done in (0, 31, 62, 93, 100)]


def test_limits_refuse_what_is_no_limit() -> None:
    with pytest.raises(InputError, match="--fail-q from 0 to 1, got nan"):
        Limits(q=float("nan"))


def test_the_installed_command_ranks_as_python_does(tmp_path: Path) -> None:
    """The demo for real: embeddings made here are found in the cache there; clustering and ranking are done twice."""
    from ravl_explore import data, models
    from ravl_explore.discovery.search import search

    here = search(models.Demo("spurious"), data.Demo("val"), cache=tmp_path / "cache")
    out = tmp_path / "out"
    ran = subprocess.run(
        [COMMAND, "discover", "--model", "demo:spurious", "--data", "demo:val", "--regions", "grid:2x2", "--out", out,
         "--fail-influence", "0.5", "--fail-gap", "1", "--fail-q", "0.05"],
        env={**os.environ, "RAVL_CACHE": str(tmp_path / "cache")}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "Reading cached embeddings" in ran.stderr and "Embedding images" not in ran.stderr
    stored, frame = pd.read_parquet(out / "clusters.parquet"), here.discovery.frame()
    for column in frame.columns:
        assert stored[column].tolist() == frame[column].tolist(), column
    assert stored["attribute"][0] == "shirt"
    settings = json.loads((out / "settings.json").read_text())
    assert settings["limits"]["reached_by"] == [here.discovery.best.cluster]
    page = (out / "report.html").read_text()
    assert len(page) < 3e6 and f"Cluster {here.discovery.best.cluster}, towards shirt" in page
    assert ran.stderr.splitlines()[-1].startswith("ravl-explore: failed: cluster ")
