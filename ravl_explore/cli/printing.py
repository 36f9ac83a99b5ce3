"""safe_printing(): nothing that the command prints raises, wherever its output goes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO

import typer

from ravl_explore.errors import StorageError
from ravl_explore.support.text import one_line

NOBODY_READS = {errno.EPIPE, errno.EINVAL}  # a closed pipe; the latter is Windows' word for it


@contextmanager
def safe_printing() -> Iterator[None]:
    """Let what is written to standard output and error not fail here: see :class:`Unfailing`."""
    with ExitStack() as closing:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is None:  # closed before we began
                stream = closing.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
            closing.enter_context(redirect(Unfailing(stream)))
        yield


class Unfailing:
    """A stream that writes what its encoding lacks as escapes, and drops all once it cannot be written any more.

    Parameters
    ----------
    stream : TextIO
        What is written to.

    Attributes
    ----------
    failure : OSError or None
        Why it could not be written, unless nobody reads it, as when ``head`` has seen enough.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._dropping():
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._stream.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in NOBODY_READS:
                self.failure = error
            with suppress(OSError, ValueError):
                # else Python would try again in the end, and give an exit code of its own
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
        except ValueError:  # it was closed
            pass


def say(text: str) -> None:
    """Lines on standard output.

    Raises
    ------
    StorageError
        When they could not be written, though somebody waits for them.
    """
    typer.echo(text, file=sys.stdout)
    failure: OSError | None = getattr(sys.stdout, "failure", None)
    if failure is not None:
        raise StorageError(
            "room for what is printed", f"{failure.strerror or failure}", "Send standard output elsewhere."
        ) from failure


def complain(problem: object) -> None:
    """One line on standard error."""
    typer.echo(f"ravl-explore: {one_line(problem)}", file=sys.stderr)
