"""How commands end: 0 fine, 1 limits reached, 2 bad input, 3 a defect of ours, 130 stopped; an error is one line."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ravl_explore.cli.printing import complain
from ravl_explore.errors import RavlError

LIMITS_REACHED, BAD_INPUT, DEFECT, STOPPED = 1, 2, 3, 130
# what a system says of files and disks as they are; we do not cause it
NAMES = (
    "EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "ESTALE", "ENAMETOOLONG", "ELOOP", "EMFILE",
    "ENFILE",
)  # fmt: skip
OF_THE_DISK = {getattr(errno, name) for name in NAMES if hasattr(errno, name)}


@contextmanager
def clean_ending(when_stopped: str = "") -> Iterator[None]:
    """Turn what goes wrong inside into an exit code and a line on standard error.

    A defect of ours prints its traceback and ends with 3, never with Python's own 1: CI would take that for a finding.

    Parameters
    ----------
    when_stopped : str
        What to say after Ctrl-C, beside that it stopped.
    """
    try:
        yield
    except RavlError as error:
        complain(error)
        raise typer.Exit(BAD_INPUT) from error
    except KeyboardInterrupt as error:
        complain(f"stopped. {when_stopped}".rstrip())
        raise typer.Exit(STOPPED) from error
    except typer.Exit:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            where = "" if error.filename is None else f" at {error.filename!r}"
            complain(f"Expected files that can be read and written, got {error.strerror}{where}. Check what is there.")
            raise typer.Exit(BAD_INPUT) from error
        typer.echo(traceback.format_exc(), file=sys.stderr)
        complain("this is a defect of ravl_explore, please report it with the lines above.")
        raise typer.Exit(DEFECT) from error
