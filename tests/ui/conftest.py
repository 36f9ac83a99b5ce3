"""Fixtures that drive a real JupyterLab in a real browser: ``lab``, ``browser`` and ``notebook``.

    def test_slider(notebook):
        opened = notebook("import ipywidgets as w", "s = w.IntSlider(value=3)", "s")
        opened.run_all()
        opened.page.locator(".widget-slider").wait_for()
        assert opened.kernel_eval("s.value") == "3"
        assert opened.errors == []

A test that fails leaves a screenshot, the browser's console and JupyterLab's log in ``test-artifacts/failures``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.browser import BrowserUnavailable, in_ci, obtain_browser

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ARTIFACTS = REPOSITORY / "test-artifacts"
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
WIDE = (1600, 1000)
START_SECONDS = 120.0
RUN_SECONDS = 180.0
RELOADS = (
    4  # on a busy machine, JupyterLab may draw outputs before it has asked the kernel for any widget (1 in 4 there)
)

SERVER_CONFIG = """\
from jupyterlab.galata import configure_jupyter_server
configure_jupyter_server(c)
c.ServerApp.port = {port}
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.allow_root = True
c.ServerApp.root_dir = {root!r}
c.LabApp.workspaces_dir = {workspaces!r}
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
"""
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}

# JavaScript run in the page: each is a function of one argument; `panel` is the notebook in front.
PANEL = "const app = window.jupyterapp; const panel = app.shell.currentWidget;"
KERNEL_IDLE = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    const session = panel?.sessionContext;
    return Boolean(panel?.content?.widgets?.length && session?.isReady && session.session?.kernel?.status === "idle");
}"""
START_COMMAND = f"""([command, args, index]) => {{
    {PANEL}
    if (index !== null) {{ panel.content.deselectAll(); panel.content.activeCellIndex = index; }}
    window.ravlJob = {{done: false, value: null, error: null}};
    const job = window.ravlJob;
    app.commands.execute(command, args).then(
        value => {{ job.done = true; job.value = typeof value === "object" ? null : value; }},
        error => {{ job.done = true; job.error = String(error); }});
}}"""
START_KERNEL_REQUEST = f"""([code, expression]) => {{
    {PANEL}
    window.ravlJob = {{done: false, value: null, error: null}};
    const job = window.ravlJob;
    const expressions = expression === null ? {{}} : {{value: expression}};
    panel.sessionContext.session.kernel.requestExecute(
        {{code, silent: true, store_history: false, stop_on_error: false, user_expressions: expressions}}).done.then(
        reply => {{ job.done = true; job.value = reply.content; }},
        error => {{ job.done = true; job.error = String(error); }});
}}"""
CELL_ERRORS = f"""() => {{
    {PANEL}
    return panel.model.sharedModel.cells.flatMap((cell, index) => (cell.toJSON().outputs || [])
        .filter(output => output.output_type === "error")
        .map(output => `cell ${{index}}: ${{output.ename}}: ${{output.evalue}}\\n${{output.traceback.join("\\n")}}`));
}}"""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address without a closing slash, the folder it shows, and the file it logs to."""

    url: str
    root: Path
    log: Path

    def request(self, method: str, path: str) -> Any:
        """Ask the server's REST API, for example ``request("GET", "/api/sessions")``."""
        with urlopen(Request(self.url + path, method=method), timeout=30) as response:
            body = response.read()
        return json.loads(body) if body else None

    def close_sessions(self, path: str) -> None:
        """Shut down the kernel of a notebook."""
        for session in self.request("GET", "/api/sessions"):
            if session["path"] == path:
                self.request("DELETE", f"/api/sessions/{session['id']}")


@dataclass
class OpenNotebook:
    """A notebook open in a page of its own, with a kernel of its own.

    Attributes
    ----------
    page : Page
        Playwright's page: ``page.get_by_role(...)``, ``page.locator(...)``, ``page.keyboard`` and so on.
    path : Path
        The notebook's file.
    console : list of str
        Everything the browser's console said.
    errors : list of str
        Uncaught errors in the page and errors in its console, since the notebook was opened.
    late : list of str
        Apart from these, what anywidget says of a widget that took over 2 s to start, which a busy machine makes: the
        widget hears again (``static/shared/late.js``, which ``test_slow_start`` holds).
    """

    page: Page
    lab: Lab
    path: Path
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def run_all(self, timeout: float = RUN_SECONDS, expect_error: bool = False) -> None:
        """Run every cell and wait for the end; a cell that raises fails the test unless that is expected."""
        self.command("notebook:run-all-cells", timeout=timeout)
        self._check_cells(expect_error)

    def run_cell(self, index: int, timeout: float = RUN_SECONDS, expect_error: bool = False, wait: bool = True) -> None:
        """Run one cell, counted from 0; with ``wait=False`` return while it runs, and call `wait_until_idle` later."""
        self._start(START_COMMAND, ["notebook:run-cell", {}, index])
        if wait:
            self._finish(timeout)
            self._check_cells(expect_error)

    def command(self, name: str, timeout: float = RUN_SECONDS, **arguments: Any) -> Any:
        """Run one of JupyterLab's commands, wait for its end, and return its value if that is plain."""
        self._start(START_COMMAND, [name, arguments, None])
        return self._finish(timeout)

    def wait_until_idle(self, timeout: float = RUN_SECONDS) -> None:
        """Wait until the notebook is open and its kernel idle."""
        self.page.wait_for_function(KERNEL_IDLE, timeout=timeout * 1000)

    def kernel_eval(self, expression: str, timeout: float = 60) -> str:
        """The ``repr`` of an expression in the notebook's kernel; leaves no trace in the notebook or its history."""
        reply = self._ask_kernel("", f"repr(({expression}))", timeout)
        value = reply["user_expressions"]["value"]
        if value["status"] != "ok":
            raise AssertionError(f"{expression} raised {value['ename']}: {value['evalue']}")
        return ast.literal_eval(value["data"]["text/plain"])

    def kernel_exec(self, code: str, timeout: float = 60) -> None:
        """Run statements in the notebook's kernel without a cell."""
        self._ask_kernel(code, None, timeout)

    def wait_for_value(self, expression: str, expected: str, timeout: float = 30) -> None:
        """Wait until ``kernel_eval(expression)`` is the expected repr.

        Widget messages take a moment, during which the expression may also raise: what was typed before can be invalid.
        """
        last, end = None, time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                last = self.kernel_eval(expression)
            except AssertionError as error:
                last = str(error)
            if last == expected:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{expression} is {last} after {timeout} s, not {expected}")

    def set_theme(self, theme: str) -> None:
        """Change to JupyterLab's "light" or "dark" theme and wait until the page shows it."""
        self.command("apputils:change-theme", theme={"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme])
        light = "true" if theme == "light" else "false"
        self.page.wait_for_function("wanted => document.body.dataset.jpThemeLight === wanted", arg=light)
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Give the browser's window an inner size in pixels and let the page lay itself out."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.settle()

    def settle(self, milliseconds: float = 300) -> None:
        """Let pending layout and drawing happen."""
        self.page.wait_for_timeout(milliseconds)
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def screenshot(self, name: str, element: Locator | str | None = None) -> Path:
        """Save what is seen, or one element, as ``test-artifacts/screenshots/<name>.png``."""
        target = ARTIFACTS / "screenshots" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        locator = self.page.locator(element).first if isinstance(element, str) else element
        if locator is None:
            self.page.screenshot(path=target, animations="disabled")
        else:
            locator.screenshot(path=target, animations="disabled")
        return target

    def save(self) -> None:
        """Save the notebook, outputs included."""
        self.command("docmanager:save")

    def reload(self) -> None:
        """Save and reload the page as a user would: the kernel runs on, JupyterLab re-attaches, widgets come back."""
        self.save()
        views = self.widget_views()
        kernel = self.kernel_id()
        for left in reversed(range(RELOADS)):
            n_errors = len(self.errors)
            self.page.reload()
            self._wait_until_open()
            self.settle(2000)
            if not left or not self.page.get_by_text("widget: model not found").count():
                break
            del self.errors[n_errors:]
        if self.kernel_id() != kernel:
            raise AssertionError("JupyterLab started another kernel instead of re-attaching")
        if views:
            self.page.wait_for_function(
                "count => document.querySelectorAll('.jupyter-widgets').length >= count",
                arg=views,
                timeout=START_SECONDS * 1000,
            )
        self.settle()

    def widget_views(self) -> int:
        """How many widget views there are in the page, those within other widgets included."""
        return self.page.locator(".jupyter-widgets").count()

    def cell_output(self, index: int) -> Locator:
        """The outputs of a cell, counted from 0, without their prompts: one, or take ``.nth(i)``."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea-output")

    def kernel_id(self) -> str:
        """The id of the kernel that the page is attached to."""
        return self.page.evaluate(f"() => {{ {PANEL} return panel.sessionContext.session.kernel.id; }}")

    def _wait_until_open(self) -> None:
        self.page.wait_for_function("() => Boolean(window.jupyterapp?.shell)", timeout=START_SECONDS * 1000)
        self.page.evaluate("() => window.jupyterapp.restored.then(() => null)")
        self.wait_until_idle(START_SECONDS)

    def _ask_kernel(self, code: str, expression: str | None, timeout: float) -> dict[str, Any]:
        self._start(START_KERNEL_REQUEST, [code, expression])
        reply = self._finish(timeout)
        if reply["status"] != "ok":
            trace = ANSI.sub("", "\n".join(reply.get("traceback", ())))
            raise AssertionError(f"the kernel raised {reply.get('ename')}: {reply.get('evalue')}\n{trace}")
        return reply

    def _start(self, script: str, argument: list[Any]) -> None:
        self.page.evaluate(script, argument)

    def _finish(self, timeout: float) -> Any:
        """Wait for what `_start` began; bounded, as a promise that Playwright itself awaits would not be."""
        self.page.wait_for_function("() => window.ravlJob.done", timeout=timeout * 1000)
        job = self.page.evaluate("() => window.ravlJob")
        if job["error"] is not None:
            raise AssertionError(f"JupyterLab refused: {job['error']}")
        return job["value"]

    def _check_cells(self, expect_error: bool) -> None:
        raised = [ANSI.sub("", text) for text in self.page.evaluate(CELL_ERRORS)]
        if bool(raised) is not expect_error:
            raise AssertionError("\n".join(raised) or "no cell raised, and one should have")


NotebookFactory = Callable[..., OpenNotebook]


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server of this environment on a free port of this machine, with nothing of the user's in it."""
    home = tmp_path_factory.mktemp("jupyterlab")
    folders = {name: home / name for name in ("root", "config", "data", "runtime", "ipython", "workspaces", "tmp")}
    for folder in folders.values():
        folder.mkdir()
    root, port, log = folders["root"], free_port(), home / "server.log"
    config = folders["config"] / "jupyter_server_config.py"
    config.write_text(SERVER_CONFIG.format(port=port, root=str(root), workspaces=str(folders["workspaces"])))
    settings = folders["config"] / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(SETTINGS))
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "JUPYTERLAB_GALATA_ROOT_DIR": str(root),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(folders["ipython"]),
        "TMPDIR": str(folders["tmp"]),
    }
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", f"--config={config}"],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = Lab(f"http://127.0.0.1:{port}", root, log)
        try:
            wait_for_server(running, server)
            yield running
        finally:
            stop(server)


@pytest.fixture(scope="package")
def browser(pytestconfig: pytest.Config) -> Iterator[Browser]:
    """Chromium, headless, drawing in software; without one the run fails in CI and skips these tests elsewhere.

    It ends with these tests, not with the session: as long as it is there, Playwright keeps an event loop running in
    the main thread, with which ``asyncio.run`` in a later test would fail.
    """

    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", file=sys.stderr, flush=True)

    path, problem = None, ""
    try:
        path = obtain_browser(say)
    except BrowserUnavailable as error:
        problem = str(error)
    if path is None:
        (pytest.fail if in_ci() else pytest.skip)(f"no browser: {problem}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(BROWSER_ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def notebook(browser: Browser, lab: Lab, request: pytest.FixtureRequest) -> Iterator[NotebookFactory]:
    """A function ``notebook(*cells, name=None, size=(1600, 1000), theme="light") -> OpenNotebook``.

    Each cell is the source of a code cell; a single argument that is a path copies a notebook file instead. The page
    shows the notebook with an idle kernel and no side bar; kernels and pages are closed when the test ends.
    """
    opened: list[OpenNotebook] = []

    def open_notebook(
        *cells: str | Path, name: str | None = None, size: tuple[int, int] = WIDE, theme: str = "light"
    ) -> OpenNotebook:
        unique = uuid.uuid4().hex[:8]
        path = lab.root / f"{name or 'notebook'}-{unique}.ipynb"
        if len(cells) == 1 and isinstance(cells[0], Path):
            shutil.copyfile(cells[0], path)
        else:
            path.write_text(json.dumps(notebook_json([str(cell) for cell in cells])))
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        context.set_default_timeout(60_000)
        page = context.new_page()
        made = OpenNotebook(page, lab, path)
        opened.append(made)
        listen(made)
        page.goto(f"{lab.url}/lab/workspaces/{unique}/tree/{path.name}?reset", timeout=START_SECONDS * 1000)
        made._wait_until_open()
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        made.set_theme(theme)
        return made

    yield open_notebook
    report = request.node.stash.get(REPORT, None)
    for number, made in enumerate(opened):
        try:
            if report is None or report.failed:
                keep_evidence(made, request.node.nodeid, number)
        finally:
            made.page.context.close()
            lab.close_sessions(made.path.name)


REPORT = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let the fixtures see how the test went."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    if report.when == "call":
        item.stash[REPORT] = report
    return report  # type: ignore[return-value]


LATE = "[anywidget] Failed to initialize model."


def listen(opened: OpenNotebook) -> None:
    """Collect what the page's console says and what goes wrong in it; say yes to "leave this page?"."""

    def on_console(message: ConsoleMessage) -> None:
        line = f"{message.type}: {message.text} ({message.location.get('url', '')})"
        opened.console.append(line)
        if message.type == "error":
            opened.errors.append(line)

    def on_error(error: PlaywrightError) -> None:
        into = opened.late if LATE in error.message else opened.errors
        into.append(f"uncaught: {error.stack or error.message}")

    opened.page.on("console", on_console)
    opened.page.on("pageerror", on_error)
    opened.page.on("dialog", lambda dialog: dialog.accept())


def keep_evidence(opened: OpenNotebook, test: str, number: int) -> None:
    """Save a screenshot, the console and the server's log of a test that failed."""
    folder = ARTIFACTS / "failures" / re.sub(r"[^\w.-]+", "_", test) / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.log").write_text("\n".join([*opened.console, "", "ERRORS", *opened.errors]))
    shutil.copyfile(opened.lab.log, folder / "server.log")
    try:
        opened.page.screenshot(path=folder / "page.png", timeout=15_000)
    except PlaywrightError as error:
        (folder / "no-screenshot.txt").write_text(str(error))


def notebook_json(cells: list[str]) -> dict[str, Any]:
    """A notebook file of code cells for the environment's own kernel."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [
            {
                "id": f"cell-{index}",
                "cell_type": "code",
                "metadata": {},
                "source": source,
                "execution_count": None,
                "outputs": [],
            }
            for index, source in enumerate(cells)
        ],
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_server(running: Lab, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; its log is the message if it does not."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            running.request("GET", "/api/status")
            return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{running.log.read_text()[-4000:]}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and wait for it; it ends its kernels."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(timeout=30)
