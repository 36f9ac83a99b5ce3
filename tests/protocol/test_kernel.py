"""The explorer in a real kernel, spoken to as JupyterLab and nbclient do: clicks, cells that wait, and saved state."""

from __future__ import annotations

import ast
import base64
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

UNIT = Path(__file__).resolve().parents[1] / "unit"
SECONDS = 120.0  # far more than anything here takes

SETUP = f"""
import sys, threading
sys.path.insert(0, {str(UNIT)!r})
import torch
torch.set_num_threads(1)
from conftest import CLASSES, build_clip, pictures
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.plots.layout import pca_layout
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.models.demo import demo_tokenizer
from ravl_explore.widgets import Explorer, explorer as explorer_module
from ravl_explore.widgets.findings import discovery as findings

findings.umap_layout = lambda region, **_: 2 * pca_layout(region)  # UMAP takes seconds to import


def data(n, seed):
    images, labels, red = pictures(n, seed)
    captions = [f"the image shows a {{CLASSES[y]}}" for y in labels]
    more = {{"name": "pictures", "captions": captions, "feature_name": "red", "feature_present": red}}
    return ArrayDataset(images, labels, CLASSES, **more)


model = ClipModel(build_clip(), demo_tokenizer(), "random", "roi")


def make(seed=0):
    made = Explorer(model=model, data=data(24, seed), train_data=data(24, 1), test_data=data(30, 2))
    made.panel.form.epochs.value, made.panel.form.batch_size.value = 2, 8
    return made
"""


@pytest.fixture(scope="module", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Layouts and histories of the kernels go where nobody's are."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAVL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patched.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield


class Kernel:
    """A kernel and its client, which takes part as JupyterLab does: it may be asked for input."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client

    def run(self, code: str, allow_stdin: bool = True) -> str:
        """Run a cell to its end and return what it printed."""
        printed: list[str] = []

        def output(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(
            code, allow_stdin=allow_stdin, timeout=SECONDS, output_hook=output, stdin_hook=lambda _: None
        )
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        return "".join(printed)

    def value(self, expression: str) -> Any:
        """A plain value of the kernel's."""
        return ast.literal_eval(self.run(f"print(repr({expression}))"))

    def click(self, model_id: str) -> None:
        """What JupyterLab sends when a button is clicked."""
        content = {"comm_id": model_id, "data": {"method": "custom", "content": {"event": "click"}}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def wait_for_state(self, model_id: str, wanted: dict[str, Any]) -> float:
        """Seconds until the kernel tells that a widget's state is so."""
        began = time.monotonic()
        while time.monotonic() < began + SECONDS:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            content = message["content"]
            if message["msg_type"] == "comm_msg" and content["comm_id"] == model_id:
                state = content["data"].get("state", {})
                if wanted.items() <= state.items():
                    return time.monotonic() - began
        raise AssertionError(f"{model_id} never said {wanted}")


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel with an explorer that has searched."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        made = Kernel(client)
        made.run(SETUP + "\nexplorer = make()\nexplorer.run()\nexplorer.wait()\npanel = explorer.panel")
        assert made.value("len(explorer.discovery.features)") >= 1
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


class TestClicks:
    @pytest.fixture
    def training(self, kernel: Kernel) -> Iterator[dict[str, str]]:
        """A training that would take far too long, under way; the ids of its widgets."""
        kernel.run("panel.form.epochs.value = 1000\npanel.form.confirmed.value = True")
        ids = kernel.value("{name: getattr(panel.buttons, name).model_id for name in ('start', 'pause', 'stop')}")
        kernel.click(ids["start"])
        kernel.wait_for_state(ids["stop"], {"disabled": False})
        kernel.run("import time\nwhile len(panel.curves.history.records) < 3: time.sleep(0.01)")
        yield ids
        kernel.run("panel.stop()\nexplorer.wait()")

    def test_stop_is_heard_within_a_second_and_ends_within_a_step(
        self, kernel: Kernel, training: dict[str, str]
    ) -> None:
        kernel.run(
            "at_click = []\npanel.buttons.stop.on_click(lambda _: at_click.append(len(panel.curves.history.records)))"
        )
        kernel.click(training["stop"])
        assert kernel.wait_for_state(training["stop"], {"disabled": True}) < 1
        kernel.run("explorer.wait()")
        steps, complete, at_click = kernel.value(
            "(len(explorer.mitigation.history.records), explorer.mitigation.complete, at_click)"
        )
        assert not complete and len(at_click) == 1 and 3 <= steps <= at_click[0] + 1
        assert kernel.value("panel.message.text").startswith(f"Stopped after {steps} steps.")
        assert kernel.value("explorer.comparison is not None")

    def test_pause_and_resume_are_heard(self, kernel: Kernel, training: dict[str, str]) -> None:
        kernel.click(training["pause"])
        assert kernel.wait_for_state(training["pause"], {"description": "Resume"}) < 1
        kernel.run("while not panel.progress._text.value.startswith('Paused'): time.sleep(0.01)")
        held = kernel.value("len(panel.curves.history.records)")
        time.sleep(0.3)
        assert kernel.value("len(panel.curves.history.records)") == held
        kernel.click(training["pause"])
        assert kernel.wait_for_state(training["pause"], {"description": "Pause"}) < 1
        kernel.run(f"while len(panel.curves.history.records) <= {held}: time.sleep(0.01)")


class TestCells:
    """A search that cannot go on until ``gate`` is set."""

    @pytest.fixture
    def gate(self, kernel: Kernel) -> Iterator[None]:
        kernel.run(
            "gate, whole = threading.Event(), explorer_module.search\n"
            f"explorer_module.search = lambda *given, **more: gate.wait({SECONDS}) and whole(*given, **more)\n"
            "earlier = explorer.discovery"
        )
        yield
        kernel.run("gate.set()\nexplorer.wait()\nexplorer_module.search = whole")

    def test_where_somebody_sits_a_cell_returns_at_once(self, kernel: Kernel, gate: None) -> None:
        kernel.run("job = explorer.run()")
        assert kernel.value("(job.running, explorer.discovery is earlier)") == (True, True)
        kernel.run("gate.set()\nexplorer.wait()")
        assert kernel.value("(job.running, explorer.discovery is earlier, job.error)") == (False, False, None)

    def test_where_nobody_sits_a_cell_waits_for_its_job(self, kernel: Kernel, gate: None) -> None:
        began = time.monotonic()
        kernel.run("job = explorer.run()\nthreading.Timer(1, gate.set).start()", allow_stdin=False)
        assert time.monotonic() - began >= 1
        assert kernel.value("(job.running, explorer.discovery is earlier, job.error)") == (False, False, None)


class Saved:
    """The widgets of a saved notebook, put together as a page does that opens it."""

    def __init__(self, notebook: nbformat.NotebookNode, ids: dict[str, str]) -> None:
        self._models = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
        self._ids = ids

    def state(self, name: str) -> dict[str, Any]:
        model = self._models[self._ids[name]]
        for buffer in model.get("buffers", []):
            at = self.place(name, buffer["path"])
            if at is not None:
                at[buffer["path"][-1]] = base64.b64decode(buffer["data"])
        return model["state"]

    def paths(self, name: str) -> list[list[Any]]:
        """Where the page puts a widget's binary data before anything else."""
        return [buffer["path"] for buffer in self._models[self._ids[name]].get("buffers", [])]

    def place(self, name: str, path: list[Any]) -> Any:
        """The part of the state that holds the end of the path; None where there is none."""
        at = self._models[self._ids[name]]["state"]
        for step in path[:-1]:
            here = step < len(at) if isinstance(at, list) else isinstance(at, dict) and step in at
            if not here:
                return None
            at = at[step]
        return at

    def traces(self, name: str) -> list[dict[str, Any]]:
        """A figure's traces with arrays for numbers."""
        return [
            {key: self._array(value) for key, value in trace.items()}
            for trace in self.state(name)["_widget_data"]
            if trace.get("visible", True) is True
        ]

    @staticmethod
    def _array(value: Any) -> Any:
        if isinstance(value, dict) and "dtype" in value:
            return np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"]).reshape(value["shape"])
        return value


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A notebook run by nbclient: a search, a mitigation, and a second explorer's search in the last cell."""
    named = {
        "table": "explorer.table", "map": "explorer.map.figure", "curves": "explorer.panel.curves.figure",
        "comparison": "explorer.outcome.measures", "message": "explorer.panel.message",
        "last table": "last.table", "last map": "last.map.figure",
    }  # fmt: skip
    ids = ", ".join(f"{name!r}: {expression}.model_id" for name, expression in named.items())
    cells = [
        SETUP,
        f"explorer, last = make(), make(3)\nprint({{{ids}}})\nexplorer",
        "job = explorer.run()",
        "assert explorer.discovery is not None and not job.running\njob = explorer.panel.start()",
        "assert explorer.comparison is not None and not job.running\nlast.run();",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    folder = str(tmp_path_factory.mktemp("notebook"))
    client = NotebookClient(
        notebook, timeout=int(SECONDS), kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    printed = notebook.cells[1].outputs[0].text
    errors = [output.text for cell in notebook.cells for output in cell.outputs if output.get("name") == "stderr"]
    assert errors == []
    return Saved(nbformat.from_dict(notebook), ast.literal_eval(printed))


class TestSavedNotebook:
    def test_the_last_cell_waited_for_its_search(self, saved: Saved) -> None:
        assert len(saved.state("last table")["rows"]) >= 6

    @pytest.mark.parametrize("name", ["map", "last map", "curves"])
    def test_a_page_can_put_every_buffer_in_its_place(self, saved: Saved, name: str) -> None:
        """nbclient keeps the buffers of every message; one without a place is a TypeError, and no widget appears."""
        assert [path for path in saved.paths(name) if saved.place(name, path) is None] == []

    @pytest.mark.parametrize("name", ["map", "last map"])
    def test_the_map_holds_its_points(self, saved: Saved, name: str) -> None:
        points = [trace for trace in saved.traces(name) if len(trace.get("customdata", ())) and trace.get("name")]
        regions = np.concatenate([trace["customdata"] for trace in points])
        assert sorted(set(regions.tolist())) == list(range(24 * 4))
        assert all(len(trace["x"]) == len(trace["y"]) == len(trace["customdata"]) for trace in points)
        assert all(np.isfinite(trace["x"]).all() for trace in points)

    @pytest.mark.parametrize("name", ["map", "last map"])
    def test_the_map_is_the_one_that_was_computed_last(self, saved: Saved, name: str) -> None:
        assert saved.state(name)["_widget_layout"]["xaxis"]["title"]["text"] == "UMAP 1"

    def test_the_curves_hold_every_step(self, saved: Saved) -> None:
        curves = {trace["name"]: trace for trace in saved.traces("curves") if trace.get("name")}
        assert curves["total loss"]["x"].tolist() == [1, 2, 3, 4, 5, 6]
        assert np.isfinite(curves["total loss"]["y"]).all() and len(curves["total loss"]["y"]) == 6

    def test_the_comparison_and_the_message(self, saved: Saved) -> None:
        assert saved.state("comparison")["blocks"][0]["rows"]
        assert "Done after 6 steps." in saved.state("message")["value"]
