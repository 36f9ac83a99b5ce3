"""Notebooks are copied but never overwritten, and JupyterLab is started with this interpreter and its own kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ravl_explore.cli import notebooks as lab
from ravl_explore.errors import DataError, InputError, RavlError, StorageError


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder of two notebooks and something that is not one."""
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("01_explore.ipynb", "02_more.ipynb"):
        (folder / name).write_text(f"packaged {name}")
    (folder / "notes.txt").write_text("not a notebook")
    return folder


def test_copies_into_a_new_folder(made: Path, tmp_path: Path) -> None:
    report = lab.copy_notebooks(tmp_path / "a" / "b", made)
    assert report == lab.CopyReport(tmp_path / "a" / "b", ("01_explore.ipynb", "02_more.ipynb"), ())
    assert sorted(path.name for path in report.folder.iterdir()) == ["01_explore.ipynb", "02_more.ipynb"]
    assert (report.folder / "02_more.ipynb").read_text() == "packaged 02_more.ipynb"
    assert str(report) == f"Copied to {report.folder}: 01_explore.ipynb, 02_more.ipynb"


def test_keeps_what_is_there(made: Path, tmp_path: Path) -> None:
    (tmp_path / "02_more.ipynb").write_text("my own work")
    report = lab.copy_notebooks(tmp_path, made)
    assert (report.copied, report.kept) == (("01_explore.ipynb",), ("02_more.ipynb",))
    assert (tmp_path / "02_more.ipynb").read_text() == "my own work"
    assert f"Kept as they were in {tmp_path}: 02_more.ipynb" in str(report)


def test_keeps_even_a_dangling_link(made: Path, tmp_path: Path) -> None:
    (tmp_path / "01_explore.ipynb").symlink_to(tmp_path / "elsewhere")
    assert lab.copy_notebooks(tmp_path, made).kept == ("01_explore.ipynb",)
    assert not (tmp_path / "elsewhere").exists()


def test_a_copy_that_breaks_off_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        lab.copy_notebooks(tmp_path / "new", made)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill")
def test_half_a_copy_of_a_killed_process_is_not_kept(made: Path, tmp_path: Path) -> None:
    from tests.unit.support.test_files import killed_at

    assert killed_at("fsync", False, 1, lambda: lab.copy_notebooks(tmp_path / "new", made))
    report = lab.copy_notebooks(tmp_path / "new", made)
    assert report.kept == () and {each.name for each in (tmp_path / "new").iterdir()} == set(report.copied)


def test_packaged_notebooks_are_found_and_valid() -> None:
    names = sorted(path.name for path in lab.notebooks_folder().glob("*.ipynb"))
    assert names[0] == lab.FIRST_NOTEBOOK
    for path in lab.notebooks_folder().glob("*.ipynb"):
        assert json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"] == "python3", path.name


def test_wheel_comes_before_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ravl_explore"
    monkeypatch.setattr(lab, "PACKAGE", package)
    with pytest.raises(DataError, match="the package's notebooks"):
        lab.notebooks_folder()
    for folder in (tmp_path / "notebooks", package / "notebooks"):
        folder.mkdir(parents=True)
        (folder / "01_explore.ipynb").write_text("{}")
        assert lab.notebooks_folder() == folder


def test_a_folder_that_is_a_file_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Name another folder"):
        lab.copy_notebooks(tmp_path / "file", made)


def test_no_notebooks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Install the package anew"):
        lab.copy_notebooks(tmp_path / "target", tmp_path)
    assert not (tmp_path / "target").exists()


def test_command_in_full(tmp_path: Path) -> None:
    assert lab.lab_command(tmp_path, browser=False, port=8899, ip="0.0.0.0", root=True) == [
        sys.executable,
        "-m",
        "jupyterlab",
        "--LabApp.default_url=/lab/tree/01_explore.ipynb",
        f"--ServerApp.root_dir={tmp_path}",
        "--no-browser",
        "--port=8899",
        "--ip=0.0.0.0",
        "--allow-root",
    ]


def test_command_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = [sys.executable, "-m", "jupyterlab", "--LabApp.default_url=/lab/tree/01_explore.ipynb"]
    assert lab.lab_command("x", root=False) == [*expected, f"--ServerApp.root_dir={tmp_path / 'x'}"]


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_root_alone_is_allowed_as_root(user: int, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert ("--allow-root" in lab.lab_command("x")) is allowed


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_ports_are_refused(port: int) -> None:
    with pytest.raises(InputError, match="port from 1 to 65535"):
        lab.lab_command("x", port=port)


def test_missing_jupyterlab_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    with pytest.raises(RavlError, match="pip install jupyterlab"):
        lab.lab_command("x")


def test_own_kernel_wins_over_the_users(tmp_path: Path) -> None:
    decoy = tmp_path / "kernels" / "python3"
    decoy.mkdir(parents=True)
    (decoy / "kernel.json").write_text('{"argv": ["/elsewhere/python"], "display_name": "decoy", "language": "python"}')
    environment = lab.lab_environment({**os.environ, "JUPYTER_DATA_DIR": str(tmp_path), "PATH": "/usr/bin"})
    script = """if True:
        from jupyter_client.manager import KernelManager
        print(KernelManager(kernel_name="python3").format_kernel_cmd()[0])"""
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == sys.executable, ran.stderr


def test_run_hands_over_to_the_command(tmp_path: Path) -> None:
    script = "\n".join(
        [
            "import sys",
            "from ravl_explore.cli.notebooks import run_lab",
            "child = 'import os, sys; print(os.environ[\"MARK\"]); sys.exit(3)'",
            "sys.exit(run_lab([sys.executable, '-c', child], {'MARK': 'seen'}))",
        ]
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(lab.PACKAGE).parent, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip()) == (3, "seen"), ran.stderr


def test_run_waits_through_ctrl_c_where_it_cannot_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[BaseException | int] = [KeyboardInterrupt(), 5]

    class Process:
        def wait(self) -> int:
            answer = answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer

    monkeypatch.setattr(lab, "_can_become", lambda: False)
    monkeypatch.setattr(lab.subprocess, "Popen", lambda command, env: Process())
    assert lab.run_lab(["python"], {}) == 5
