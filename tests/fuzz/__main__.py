"""``python -m tests.fuzz --cases 2000 --seed 0``: faults, one a line, and their number; exit code 1 for any."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.run import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case; one alone to see it again")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    numbers = list(range(arguments.first, arguments.first + arguments.cases))
    faults, peak = run(numbers, arguments.seed, lambda line: print(line, flush=True))
    print(f"{len(numbers)} cases, {len(faults)} faults, at most {peak} MB, {time.monotonic() - started:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
