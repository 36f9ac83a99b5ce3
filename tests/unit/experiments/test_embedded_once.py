"""EmbeddedOnce: of all who ask for a dataset's embeddings one makes them, and all get the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import Cancelled
from ravl_explore.experiments import embedded_once
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.regions import Grid

SECONDS = 60.0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event, list[Any]]:
    """(embedding has begun, let it go on, datasets that were embedded)."""
    begun, go_on, made = threading.Event(), threading.Event(), []

    def slow(model: Any, data: Any, *rest: Any, **more: Any) -> Any:
        made.append(data)
        begun.set()
        assert go_on.wait(SECONDS)
        return embed(model, data, *rest, **more)

    monkeypatch.setattr(embedded_once, "embed", slow)
    return begun, go_on, made


def test_who_comes_later_waits_and_gets_the_same(
    model: Any, make_data: Callable[..., Any], gate: tuple[threading.Event, threading.Event, list[Any]]
) -> None:
    begun, go_on, made = gate
    once, data, given = EmbeddedOnce(), make_data(), []
    waiting = threading.Event()

    def told(done: int, total: int, stage: str) -> None:
        if stage == "B: waiting for the images that are being read":
            waiting.set()

    first = threading.Thread(target=lambda: given.append(once(model, data, None, None, "A")))
    second = threading.Thread(target=lambda: given.append(once(model, data, None, told, "B")))
    first.start()
    assert begun.wait(SECONDS)
    second.start()
    assert waiting.wait(SECONDS)
    go_on.set()
    first.join(SECONDS), second.join(SECONDS)
    assert made == [data] and given[0] is given[1]


def test_who_waits_can_be_cancelled(
    model: Any, make_data: Callable[..., Any], gate: tuple[threading.Event, threading.Event, list[Any]]
) -> None:
    begun, go_on, made = gate
    once, data = EmbeddedOnce(), make_data()
    first = threading.Thread(target=lambda: once(model, data, None, None, "A"))
    first.start()
    assert begun.wait(SECONDS)

    def cancel(*_: Any) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        once(model, data, None, cancel, "B")
    go_on.set()
    first.join(SECONDS)
    assert once(model, data, None, cancel, "C") is once(model, data, None, None, "D"), "what is there is only given"
    assert made == [data]


def test_an_embedding_that_failed_is_made_again(
    model: Any, make_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no room")

    once, data = EmbeddedOnce(), make_data()
    with monkeypatch.context() as patched:
        patched.setattr(embedded_once, "embed", broken)
        with pytest.raises(RuntimeError, match="no room"):
            once(model, data, None, None, "A")
    assert len(once(model, data, None, None, "A").image) == len(data)


def test_models_datasets_and_proposers_are_told_apart(
    model: Any, make_model: Callable[..., Any], make_data: Callable[..., Any]
) -> None:
    once, data, grid = EmbeddedOnce(), make_data(), Grid(3, 1)
    asked = [(model, data, None), (make_model(1), data, None), (model, make_data(), None), (model, data, grid)]
    made = [once(*each, None, "") for each in asked]
    assert len({id(each) for each in made}) == 4 and len(made[3].region) == 3 * len(data)
    assert [once(*each, None, "") for each in asked] == made

    once.keep_only(made[3], model, data, grid)
    assert once(model, data, grid, None, "") is made[3] and once(model, data, None, None, "") is not made[0]
    once.clear()
    assert once(model, data, grid, None, "") is not made[3]
