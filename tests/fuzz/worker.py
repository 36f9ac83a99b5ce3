"""Runs numbered cases one after the other and says of each, on a line, what came of it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

SHARE_OF_SLIPS = 0.4
HERE = Path(__file__).resolve().parent


def prepare(folder: Path) -> None:
    """Write the sound files of every kind."""
    from tests.fuzz.files import KINDS

    for name, kind in KINDS.items():
        (folder / name).mkdir(parents=True)
        kind.make(folder / name)


def case(number: int, seed: int, sound: Path) -> tuple[str, str]:
    """What was tried, and "" or what was wrong with what came: a raw error and where it was raised."""
    from ravl_explore.errors import Cancelled, RavlError
    from tests.fuzz import slips

    rng = np.random.default_rng([seed, number])
    if rng.random() < SHARE_OF_SLIPS:
        tried, (function, arguments) = slips.slip(rng)
        work: Any = lambda: slips.run_out(function(**arguments))  # noqa: E731
        left = None
    else:
        tried, work, left = _file_case(rng, sound)
    try:
        work()
        return tried, ""
    except (RavlError, Cancelled):
        return tried, ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return tried, _told(error)
    finally:
        if left is not None:
            shutil.rmtree(left, ignore_errors=True)


def _file_case(rng: np.random.Generator, sound: Path) -> tuple[str, Any, Path]:
    from tests.fuzz import damage
    from tests.fuzz.files import KINDS

    name = sorted(KINDS)[int(rng.integers(len(KINDS)))]
    made = Path(tempfile.mkdtemp(prefix="ravl-fuzz-")) / name
    shutil.copytree(sound / name, made)
    files = sorted({file for pattern in KINDS[name].damaged for file in made.glob(pattern) if file.is_file()})
    file = files[int(rng.integers(len(files)))]
    file.chmod(0o644)
    file.write_bytes(damage.by_kind(file.name)(file.read_bytes(), rng))
    return f"{name}: {file.relative_to(made)}", lambda: KINDS[name].use(made), made.parent


def _told(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "ravl_explore" in f.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else "?"
    return f"{type(error).__name__}: {str(error)[:160]!r} in {where}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sound", type=Path, required=True)
    parser.add_argument("cases", type=int, nargs="*")
    arguments = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    os.environ |= {"RAVL_CACHE": str(arguments.sound / "_cache"), "HF_HOME": str(arguments.sound / "_hub")}
    out, sys.stdout = sys.stdout, sys.stderr  # what the work prints is no answer
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import torch

    torch.set_num_threads(1)
    if arguments.prepare:
        prepare(arguments.sound)
        return
    os.chdir(tempfile.mkdtemp(prefix="ravl-fuzz-"))  # relative odd paths lead here

    def say(**facts: Any) -> None:
        print(json.dumps(facts), file=out, flush=True)

    for number in arguments.cases:
        say(case=number)
        tried, wrong = case(number, arguments.seed, arguments.sound)
        say(case=number, tried=tried, wrong=wrong, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    main()
