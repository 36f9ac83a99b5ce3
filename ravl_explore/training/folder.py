"""RunFolder: one training on disk. What makes it repeatable, how far it has come, and that nobody else is at it.

    settings.json           what the run depends on, what that is called, and what it was made with
    checkpoint.safetensors  all that the next step depends on, see :mod:`ravl_explore.training.checkpoint`
    history.jsonl           one step a line, for other programs; as of the checkpoint
    model.safetensors       the model when training ended, as ``rx.save`` writes it

Each file is written whole or not at all.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from ravl_explore.errors import StorageError
from ravl_explore.support.files import user_path, write_whole
from ravl_explore.support.json_values import Json, as_json
from ravl_explore.support.unfinished import remove_unfinished
from ravl_explore.training.checkpoint import Checkpoint

FORMAT = "ravl_explore run 2"
EARLIER = ("ravl_explore run 1",)  # what a run depends on was told in other terms, so none of them can be known again
SECONDS = 60.0  # between two checkpoints: what a kill may cost
SHARE = 0.05  # of the time that checkpoints may take: those of a large model are written less often

Settings = Mapping[str, Json]

logger = logging.getLogger(__name__)


class RunFolder:
    """The folder of one run, held against other processes until :meth:`close`.

    Parameters
    ----------
    path : str or Path
        Made if it is not there.
    depends : mapping of str to plain value
        What must be the same for the run to go on, by name, as JSON takes it.
    made_with : mapping of str to plain value
        Versions and machine, kept and compared, but a difference is only noted.
    names : mapping of str to str or None
        What people call what it depends on, by name; kept to be read, and never compared.
    contents : mapping of str to function, or None
        For some of ``depends`` that may differ for the same thing, such as the times of copied files, what gives one
        value that does not. It is asked for when the run begins, and when the quick one differs.
    in_words : mapping of str to str, or None
        For some of ``depends`` what to say when they differ, instead of both values.

    Attributes
    ----------
    path : Path
    notes : list of str
        What the user should know, as sentences.

    Raises
    ------
    StorageError
        When the folder holds another run, is in use, or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        depends: Mapping[str, Json],
        made_with: Mapping[str, Json],
        *,
        names: Mapping[str, str | None] | None = None,
        contents: Mapping[str, Callable[[], str]] | None = None,
        in_words: Mapping[str, str] | None = None,
    ) -> None:
        self.path = user_path(path)
        self.notes: list[str] = []
        self._names, self._contents, self._in_words = dict(names or {}), dict(contents or {}), dict(in_words or {})
        self._written, self._took, self._failure = time.monotonic(), 0.0, ""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(str(self.path / ".lock"), thread_local=False)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError(
                "a run folder that nobody is training in",
                f"{str(self.path)!r}, where a run is under way",
                "Wait for it, close() it if it is yours, or choose another folder.",
            ) from error
        except (OSError, ValueError, NotImplementedError) as error:  # the last where a disk knows no locks
            why = getattr(error, "strerror", None) or error
            raise StorageError(
                "a run folder that can be written", f"{str(self.path)!r} ({why})", "Choose another."
            ) from error
        try:
            remove_unfinished(self.path)
            self._agree(json.loads(as_json(depends)), json.loads(as_json(made_with)))
        except BaseException:
            self._lock.release()
            raise

    def read(self) -> Checkpoint | None:
        """The latest checkpoint, if there is one; StorageError when it is damaged."""
        return Checkpoint.read(self.checkpoint) if self.checkpoint.is_file() else None

    @property
    def checkpoint(self) -> Path:
        """Where the latest one is, when there is one."""
        return self.path / "checkpoint.safetensors"

    @property
    def due(self) -> bool:
        """Whether a checkpoint should be written now."""
        return time.monotonic() - self._written >= max(SECONDS, self._took / SHARE)

    def write(self, checkpoint: Checkpoint) -> bool:
        """Replace the checkpoint and the history; on a full disk the older one stays, and a note and the log say so.

        Training goes on then: an hour of it is worth more than the checkpoint, and space may be freed meanwhile.

        Parameters
        ----------
        checkpoint : Checkpoint
            As of now.

        Returns
        -------
        bool
            Whether it was written.
        """
        started = time.monotonic()
        records = checkpoint.meta["records"]
        try:
            write_whole(self.checkpoint, checkpoint.to_bytes())
            write_whole(self.path / "history.jsonl", "".join(as_json(record) + "\n" for record in records).encode())
            failure = ""
        except StorageError as error:
            step = checkpoint.meta["step"]
            failure = f"The checkpoint of step {step} could not be written ({error.came}); an older one may be there."
            logger.warning("%s Folder: %s", failure, self.path)
        self.notes = [note for note in self.notes if note != self._failure] + ([failure] if failure else [])
        self._failure = failure
        self._written, self._took = time.monotonic(), time.monotonic() - started
        return not failure

    def keep(self, name: str, content: bytes) -> None:
        """Write another file of the run; on a full disk a note and the log say so.

        Parameters
        ----------
        name : str
            Of the file.
        content : bytes
            All of it.
        """
        try:
            write_whole(self.path / name, content)
        except StorageError as error:
            self.notes.append(f"{name} could not be written ({error.came}).")
            logger.warning("%s Folder: %s", self.notes[-1], self.path)

    def close(self) -> None:
        """Let others in; safe to call twice."""
        self._lock.release()

    def _agree(self, depends: dict[str, Json], made_with: dict[str, Json]) -> None:
        """Write what the run depends on, or compare it with what is there."""
        path = self.path / "settings.json"
        if not path.is_file():
            strangers = [
                name for name in ("checkpoint.safetensors", "model.safetensors") if (self.path / name).exists()
            ]
            if strangers:
                raise StorageError(
                    "an empty folder or one of a run", f"{strangers[0]} without settings.json", "Choose another folder."
                )
            contents = {name: content() for name, content in self._contents.items()}
            self._write_settings(depends, contents, self._names, made_with)
            return
        there, earlier, contents, called = _read_settings(path)
        differing, moved = [], False
        for name in {**there, **depends}:
            if there.get(name) == depends.get(name):
                continue
            if name in self._contents and name in contents and self._contents[name]() == contents[name]:
                moved = True
            else:
                differing.append(self._told(name, there.get(name), depends.get(name), called))
        if differing:
            raise StorageError(
                f"the run that {str(self.path)!r} holds",
                f"another: {'; '.join(differing)}",
                "Use the same arguments to go on with it, or choose another folder.",
            )
        if moved:  # so that the next time the quick look is enough
            self._write_settings(depends, contents, called, earlier)
        changed = [_difference(name, earlier.get(name), made_with.get(name)) for name in {**earlier, **made_with}]
        changed = [difference for difference in changed if difference]
        if changed:
            self.notes.append(
                f"This run was begun elsewhere ({'; '.join(changed)}): its steps may differ in their last bits."
            )

    def _write_settings(
        self,
        depends: Mapping[str, Json],
        contents: Mapping[str, Json],
        names: Mapping[str, Json],
        made_with: Mapping[str, Json],
    ) -> None:
        parts = {"depends": depends, "contents": contents, "names": names, "made_with": made_with}
        write_whole(self.path / "settings.json", as_json({"format": FORMAT, **parts}, indent=1).encode())

    def _told(self, name: str, there: Json, here: Json, called: Mapping[str, Json]) -> str:
        """One difference for a person."""
        if name not in self._in_words or None in (there, here):
            return _difference(name, there, here)
        part = name.removesuffix(" fingerprint")
        names = _difference("", called.get(part), self._names.get(part)).removeprefix(" is ")
        return self._in_words[name] + (f" ({names})" if names and called.get(part) else "")


def _read_settings(path: Path) -> tuple[dict[str, Json], ...]:
    """What the run depends on, what it was made with, the contents, the names; StorageError for what is no such file.

    A folder of an earlier version is refused with what can still be done with it.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] in EARLIER:
            version = stored["made_with"]["ravl_explore"]
            raise StorageError(
                f"a run folder of this version ({FORMAT})",
                f"{str(path)!r} of a run that ravl_explore {version} began ({stored['format']})",
                "Choose another folder to train again; models.Checkpoint opens the model in this one.",
            )
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']!r}")
        parts = tuple(stored[name] for name in ("depends", "made_with", "contents", "names"))
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError("what the run depends on is not there by name")
    except StorageError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise StorageError(
            f"a run folder's settings ({FORMAT})", f"{str(path)!r} ({error})", "Choose another folder."
        ) from error
    return parts


def _difference(name: str, there: Json, here: Json) -> str:
    return "" if there == here else f"{name} is {_short(there)} there, {_short(here)} here"


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else as_json(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
