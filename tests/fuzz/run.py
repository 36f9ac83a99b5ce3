"""run(): cases in worker processes, watched: none may raise a raw error, hang, die, or take more than 2 GB."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SECONDS = 60.0  # that a case may take on a busy machine
START = 180.0  # that a worker may take until its first case
MEGABYTES = 2000
LOOK = 0.2


@dataclass(frozen=True)
class Fault:
    """A case that did not end as it should."""

    number: int
    tried: str
    wrong: str


def run(numbers: list[int], seed: int, tell: Callable[[str], None] = lambda line: None) -> tuple[list[Fault], int]:
    """(what was wrong, highest memory in MB); a worker that hangs or grows is killed, and the next one goes on."""
    faults: list[Fault] = []
    peak = 0
    with tempfile.TemporaryDirectory(prefix="ravl-fuzz-") as made:
        sound = Path(made) / "sound"
        made_them = subprocess.run(
            _command(sound, "--prepare"), cwd=REPOSITORY, capture_output=True, text=True, timeout=900, check=False
        )
        if made_them.returncode:
            raise RuntimeError(f"the sound files could not be written: {made_them.stderr[-2000:]}")
        left = list(numbers)
        while left:
            done, found, highest = _work(left, seed, sound, tell)
            faults += found
            peak = max(peak, highest)
            left = left[done:]
    return faults, peak


def _command(sound: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.fuzz.worker", "--sound", str(sound), *more]


def _work(numbers: list[int], seed: int, sound: Path, tell: Callable[[str], None]) -> tuple[int, list[Fault], int]:
    """One worker's: how many of ``numbers`` are done, faults, and its peak in MB."""
    worker = subprocess.Popen(
        _command(sound, "--seed", str(seed), *map(str, numbers)),
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
    listener = threading.Thread(target=_listen, args=(worker, lines), daemon=True)
    listener.start()
    faults: list[Fault] = []
    done, peak, current, since, limit = 0, 0, -1, time.monotonic(), START
    try:
        while True:
            wrong = ""
            try:
                said = lines.get(timeout=LOOK)
            except queue.Empty:
                peak = max(peak, _megabytes(worker.pid))
                if time.monotonic() - since > limit:
                    wrong = f"nothing within {limit:.0f} s"
                elif peak > MEGABYTES:
                    wrong = f"{peak} MB"
                else:
                    continue
            else:
                if said is None:
                    if worker.wait() == 0 and done == len(numbers):
                        return done, faults, peak
                    wrong = f"the process ended with {worker.returncode}"
                elif "wrong" not in said:
                    current, since, limit = said["case"], time.monotonic(), SECONDS
                    continue
                else:
                    done, peak = done + 1, max(peak, said["peak"])
                    since, limit = time.monotonic(), SECONDS
                    problem = said["wrong"] or (f"{peak} MB" if peak > MEGABYTES else "")
                    if problem:
                        faults.append(Fault(said["case"], said["tried"], problem))
                        tell(f"{said['case']}: {said['tried']}: {problem}")
                    if peak > MEGABYTES:
                        return done, faults, peak
                    continue
            faults.append(Fault(current, "?", wrong))
            tell(f"{current}: {wrong}")
            return done + 1, faults, peak
    finally:
        worker.kill()
        worker.wait()
        listener.join()
        assert worker.stdout is not None
        worker.stdout.close()


def _listen(worker: subprocess.Popen[str], lines: queue.Queue[dict[str, Any] | None]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        lines.put(json.loads(line))
    lines.put(None)


def _megabytes(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss // 2**20
    except psutil.Error:
        return 0
