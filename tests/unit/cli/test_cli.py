"""The command: help, version, clean errors, the cache, and a real JupyterLab whose kernel is this interpreter."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from typer.testing import CliRunner

import ravl_explore
from ravl_explore import cli
from ravl_explore.cli import notebooks as lab
from ravl_explore.embedding.cache import list_cached
from ravl_explore.embedding.disk_arrays import DiskArrays
from ravl_explore.embedding.folders import embeddings_folder
from ravl_explore.errors import StorageError

COMMAND = Path(sys.executable).with_name("ravl-explore")
ASK_KERNEL = """
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready(60)
asked = {"python": "__import__('sys').prefix", "package": "__import__('ravl_explore').__file__"}
reply = client.execute_interactive("", user_expressions=asked, timeout=60)
print(*(reply["content"]["user_expressions"][name]["data"]["text/plain"] for name in asked))
client.stop_channels()
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been started, instead of starting it."""
    commands: list[list[str]] = []
    monkeypatch.setattr(cli.lab, "run_lab", lambda command, environment: commands.append(command) or 0)
    return commands


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line."""
    result = CliRunner().invoke(cli.app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_version() -> None:
    assert run("--version") == (0, f"{ravl_explore.__version__}\n", "")


def test_help_names_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("lab", "--help")
    assert code == 0
    for option in ("folder", "8888 or the next free", "--no-browser", "--port", "--ip", "ravl-notebooks"):
        assert option in out


def test_lab_copies_and_starts(started: list[list[str]], tmp_path: Path) -> None:
    code, out, err = run("lab", str(tmp_path / "n"), "--no-browser", "--port", "8899", "--ip", "127.0.0.1")
    assert (code, err) == (0, "")
    assert out.startswith(f"Copied to {tmp_path / 'n'}: 01_explore.ipynb")
    assert (tmp_path / "n" / "01_explore.ipynb").exists()
    assert started == [lab.lab_command(tmp_path / "n", browser=False, port=8899, ip="127.0.0.1")]


def test_lab_says_what_it_kept(started: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("lab")[0] == 0
    own = tmp_path / "ravl-notebooks" / "01_explore.ipynb"
    own.write_text("my own work")
    code, out, _ = run("lab")
    assert (code, own.read_text()) == (0, "my own work")
    assert out.startswith(f"Kept as they were in {own.parent}: 01_explore.ipynb")
    assert len(started) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["lab", "{file}"], "Name another folder."), (["lab", "{new}", "--port", "70000"], "a port from 1 to 65535")],
)
def test_errors_are_one_clean_line(arguments: list[str], said: str, started: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run(*(part.format(file=tmp_path / "file", new=tmp_path / "new") for part in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("ravl-explore: Expected ") and said in err
    assert started == []
    assert not (tmp_path / "new").exists()


def test_an_error_of_many_lines_becomes_one(monkeypatch: pytest.MonkeyPatch, started: list[list[str]]) -> None:
    def fail(folder: Path) -> None:
        raise StorageError("one\nthing", "another", "Do\n  this.")

    monkeypatch.setattr(cli.lab, "copy_notebooks", fail)
    assert run("lab") == (2, "", "ravl-explore: Expected one thing, got another. Do this.\n")


def test_every_command_has_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("--help")
    assert code == 0
    for command in ("lab", "discover", "report", "cache"):
        assert command in out
    code, out, _ = run("discover", "--help")
    for said in ("--model", "--data", "--regions", "--out", "--fail-gap", "Exit codes: 0 done; 1", "130 stopped"):
        assert said in out


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of two entries in a cache of the test's own: one complete, one not."""
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    for name, complete in (("abc1", True), ("abd2", False)):
        folder = embeddings_folder() / name
        arrays = DiskArrays(folder, 3, 6, 4, "RN50\x1b[31m", "my images")
        arrays.append(3 if complete else 1, np.zeros((1, 4), np.float32), np.zeros((2, 4), np.float32), [])
        if complete:
            arrays.finish()
        arrays.close()
    return ["abc1", "abd2"]


def test_the_cache_is_listed(stored: list[str]) -> None:
    code, out, err = run("cache", "list")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "RN50\\x1b[31m on my images: 1 images, 2 regions" in lines["abc1"]
    assert "not complete" in lines["abd2"] and "not complete" not in lines["abc1"]
    assert f"2 stored in {embeddings_folder()}" in out


def test_an_empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "none"))
    assert run("cache", "list") == (0, "Nothing is stored.\n", "")
    assert run("cache", "clear", "--all") == (0, "Freed 0 B.\n", "")


def test_one_entry_is_cleared_by_how_its_name_begins(stored: list[str]) -> None:
    code, out, _ = run("cache", "clear", "abc")
    assert code == 0 and out.startswith("Freed ") and out != "Freed 0 B.\n"
    assert [each.folder.name for each in list_cached()] == ["abd2"]


def test_all_entries_are_cleared(stored: list[str]) -> None:
    assert run("cache", "clear", "--all")[0] == 0
    assert list_cached() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--all, got neither"),
        (["abc1", "--all"], "got both"),
        (["ab"], "fits 2 of 2"),
        (["xyz"], "fits 0 of 2"),
        ([""], "fits 0 of 2"),
        (["../../.."], "fits 0 of 2"),
    ],
)
def test_clearing_takes_one_name_or_all(arguments: list[str], said: str, stored: list[str]) -> None:
    code, out, err = run("cache", "clear", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err
    assert len(list_cached()) == 2


def test_import_is_quick() -> None:
    script = "import time; t = time.perf_counter(); import ravl_explore.cli; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    assert min(seconds) < 2


class Served:
    """A JupyterLab that the installed command started, asked through its REST API with the token that it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], runtime: Path, log: Path) -> None:
        self.process, self.log = process, log
        end = time.monotonic() + 90
        while not (written := list(runtime.glob("jpserver-*.json"))):
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")
            time.sleep(0.2)
        self.info: dict[str, Any] = json.loads(written[0].read_text())

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = Request(
            f"http://127.0.0.1:{self.info['port']}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.info['token']}"},
        )
        with urlopen(request, timeout=60) as response:
            return json.loads(response.read() or "null")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The command as a user calls it by its path: no activated environment, a user's own kernel in the way."""
    decoy = tmp_path / "data" / "kernels" / "python3"
    decoy.mkdir(parents=True)
    (decoy / "kernel.json").write_text('{"argv": ["/elsewhere/python"], "display_name": "decoy", "language": "python"}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    log = tmp_path / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [COMMAND, "lab", "n", "--no-browser", "--port", str(port)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Served(process, tmp_path / "runtime", log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=30)


def test_the_command_by_its_path_serves_a_kernel_that_has_the_package(served: Served, tmp_path: Path) -> None:
    assert served.info["root_dir"] == str(tmp_path / "n")
    assert served.info["pid"] == served.process.pid, "the command becomes JupyterLab"
    assert "01_explore.ipynb" in {entry["name"] for entry in served.ask("GET", "api/contents")["content"]}
    kernel = served.ask("POST", "api/kernels", {"name": "python3"})
    connection = tmp_path / "runtime" / f"kernel-{kernel['id']}.json"
    asked = subprocess.run(
        [sys.executable, "-c", ASK_KERNEL, connection], capture_output=True, text=True, timeout=120, check=False
    )
    assert asked.stdout.split() == [repr(sys.prefix), repr(str(lab.PACKAGE / "__init__.py"))], asked.stderr
    served.ask("DELETE", f"api/kernels/{kernel['id']}")
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(timeout=30)
    log = served.log.read_text()
    assert "Copied to" in log and "/lab/tree/01_explore.ipynb?token=" in log, "the address opens the notebook"
