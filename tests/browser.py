"""Finds a Chromium to drive, or gets one; says what it does, and why if none can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OVERRIDE = "RAVL_BROWSER"
PLAYWRIGHT_PATH = (
    "from playwright.sync_api import sync_playwright\nwith sync_playwright() as p: print(p.chromium.executable_path)"
)


class BrowserUnavailable(Exception):
    """No browser is there and none could be got; the message lists what was tried."""


def in_ci() -> bool:
    """Whether a missing browser must fail the run rather than skip the tests that need one."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def obtain_browser(say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> Path:
    """The path of a Chromium that starts: one named, one found, or one installed now.

    The order: the environment variable RAVL_BROWSER, alone if set; PATH; Playwright's own build; Debian's package, if
    this is root. Each try that fails is told through ``say`` and, if all do, in the error.
    """
    if named := os.environ.get(OVERRIDE):
        if works(path := Path(named)):
            return path
        raise BrowserUnavailable(f"{OVERRIDE}={named} does not start")
    tried: list[str] = []
    for path in browsers_on_path():
        if works(path):
            return path
        tried.append(f"{path} does not start")
    for way, install in (("Playwright's Chromium", install_with_playwright), ("apt-get", install_with_apt)):
        say(f"tests/browser.py: no browser yet, trying {way}")
        try:
            path = install()
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(f"{way}: {reason(error)}")
        else:
            if path is not None and works(path):
                say(f"tests/browser.py: got {path}")
                return path
            tried.append(f"{way} gave none" if path is None else f"{way}: {path} does not start")
        say(f"tests/browser.py: {tried[-1]}")
    raise BrowserUnavailable("; ".join([f"none of {', '.join(NAMES)} on PATH", *tried]))


def browsers_on_path() -> Iterator[Path]:
    """Every browser of a known name on PATH."""
    return (Path(found) for name in NAMES if (found := shutil.which(name)))


def works(path: Path) -> bool:
    """Whether the program starts: Ubuntu's stub that asks for a snap and a build that lacks libraries do not."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_with_playwright() -> Path | None:
    """Playwright's own build, downloaded into its cache if it is not there yet."""
    run([sys.executable, "-m", "playwright", "install", "chromium"], timeout=600)
    path = Path(run([sys.executable, "-c", PLAYWRIGHT_PATH], timeout=60).strip())
    return path if path.exists() else None


def install_with_apt() -> Path | None:
    """Debian's package, where the user is root and apt-get is there."""
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    run(["apt-get", "update", "-qq"], timeout=300)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], timeout=900)
    return next(browsers_on_path(), None)


def run(command: list[str], timeout: float) -> str:
    """Run to the end without standard input and return what was printed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=True
    ).stdout


def reason(error: Exception) -> str:
    """One line that says what went wrong: the last line of the program's own complaint that looks like one."""
    lines = [line.strip() for line in str(getattr(error, "stderr", "") or error).splitlines() if line.strip()]
    complaints = [line for line in lines if line.startswith(("E:", "Error"))]
    return (complaints or lines or [type(error).__name__])[-1]
