"""RunFolder: one training on disk. What makes it repeatable, how far it has come, and that nobody else is at it.

    settings.json           what the run depends on, and what it was made with
    checkpoint.safetensors  all that the next step depends on, see :mod:`ravl_explore.training.checkpoint`
    history.jsonl           one step a line, for other programs; as of the checkpoint
    model.safetensors       the model when training ended, as ``rx.save`` writes it

Each file is written whole or not at all.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ravl_explore.errors import StorageError
from ravl_explore.files import remove_unfinished, user_path, write_whole
from ravl_explore.training.checkpoint import Checkpoint

FORMAT = "ravl_explore run 1"
SECONDS = 60.0  # between two checkpoints: what a kill may cost
SHARE = 0.05  # of the time that checkpoints may take: those of a large model are written less often

logger = logging.getLogger(__name__)


class RunFolder:
    """The folder of one run, held against other processes until :meth:`close`.

    Parameters
    ----------
    path : made if it is not there
    depends : what must be the same for the run to go on, by name, as plain JSON values
    made_with : versions and machine, kept and compared, but a difference is only noted

    Attributes
    ----------
    notes : what the user should know, as sentences

    Raises
    ------
    StorageError
        When the folder holds another run, is in use, or cannot be written.
    """

    def __init__(self, path: str | Path, depends: Mapping[str, Any], made_with: Mapping[str, Any]) -> None:
        self.path = user_path(path)
        self.notes: list[str] = []
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
        except (OSError, NotImplementedError) as error:  # the latter where a disk knows no locks
            why = getattr(error, "strerror", None) or error
            raise StorageError(
                "a run folder that can be written", f"{str(self.path)!r} ({why})", "Choose another."
            ) from error
        try:
            remove_unfinished(self.path)
            self._agree(json.loads(json.dumps(dict(depends))), json.loads(json.dumps(dict(made_with))))
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
        """
        started = time.monotonic()
        records = checkpoint.meta["records"]
        try:
            write_whole(self.checkpoint, checkpoint.to_bytes())
            write_whole(self.path / "history.jsonl", "".join(json.dumps(each) + "\n" for each in records).encode())
            failure = ""
        except StorageError as error:
            step = checkpoint.meta["step"]
            failure = f"The checkpoint of step {step} could not be written ({error.came}); an older one may be there."
            logger.warning("%s Folder: %s", failure, self.path)
        self.notes = [each for each in self.notes if each != self._failure] + ([failure] if failure else [])
        self._failure = failure
        self._written, self._took = time.monotonic(), time.monotonic() - started
        return not failure

    def keep(self, name: str, content: bytes) -> None:
        """Write another file of the run; on a full disk a note and the log say so."""
        try:
            write_whole(self.path / name, content)
        except StorageError as error:
            self.notes.append(f"{name} could not be written ({error.came}).")
            logger.warning("%s Folder: %s", self.notes[-1], self.path)

    def close(self) -> None:
        """Let others in; safe to call twice."""
        self._lock.release()

    def _agree(self, depends: dict[str, Any], made_with: dict[str, Any]) -> None:
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
            text = json.dumps({"format": FORMAT, "depends": depends, "made_with": made_with}, indent=1)
            write_whole(path, text.encode())
            return
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            there, earlier = stored["depends"], stored["made_with"]
            if stored["format"] != FORMAT:
                raise ValueError(f"format {stored['format']!r}")
            if not (isinstance(there, dict) and isinstance(earlier, dict)):
                raise ValueError("what the run depends on is not there by name")
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise StorageError(
                f"a run folder's settings ({FORMAT})", f"{str(path)!r} ({error})", "Choose another folder."
            ) from error
        differing = [_difference(name, there.get(name), depends.get(name)) for name in {**there, **depends}]
        differing = [each for each in differing if each]
        if differing:
            raise StorageError(
                f"the run that {str(self.path)!r} holds",
                f"another: {'; '.join(differing)}",
                "Use the same arguments to go on with it, or choose another folder.",
            )
        changed = [_difference(name, earlier.get(name), made_with.get(name)) for name in {**earlier, **made_with}]
        changed = [each for each in changed if each]
        if changed:
            self.notes.append(
                f"This run was begun elsewhere ({'; '.join(changed)}): its steps may differ in their last bits."
            )


def _difference(name: str, there: Any, here: Any) -> str:
    return "" if there == here else f"{name} is {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
