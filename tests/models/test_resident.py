"""Engines in memory: loaded once, used by one thread at a time, evicted by last use, closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from models.errors import EngineFailed, NotEnoughMemory
from models.resident import Residents


class Engine:
    """A countable engine: knows how often it was loaded and closed, and who is inside."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self._log = log
        self.inside = 0
        self.most_inside = 0
        log.append(f"load {name}")

    def close(self) -> None:
        self._log.append(f"close {self.name}")


@pytest.fixture
def log() -> list[str]:
    return []


def test_loads_on_first_use_and_keeps_it(log: list[str]) -> None:
    residents = Residents()
    for _ in range(2):
        with residents.use("chat:a", lambda: Engine("a", log), 10) as engine:
            assert engine.name == "a"
    assert log == ["load a"]
    assert residents.is_loaded("chat:a")


def test_two_threads_load_once_and_cannot_enter_together(log: list[str]) -> None:
    residents = Residents()
    engines: list[Engine] = []
    ready = threading.Barrier(4)

    def work() -> None:
        ready.wait()
        for _ in range(50):
            with residents.use("chat:a", lambda: Engine("a", log), 10) as engine:
                engine.inside += 1
                engine.most_inside = max(engine.most_inside, engine.inside)
                engine.inside -= 1
                engines.append(engine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log == ["load a"]
    assert {id(engine) for engine in engines} == {id(engines[0])}
    assert engines[0].most_inside == 1


def test_the_least_recently_used_leaves(log: list[str]) -> None:
    residents = Residents(memory_budget_bytes=25)
    for name in ("a", "b", "a", "c"):
        with residents.use(name, lambda name=name: Engine(name, log), 10):  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            pass
    assert log == ["load a", "load b", "close b", "load c"]
    assert {each.key for each in residents.loaded()} == {"a", "c"}


def test_one_in_use_is_not_evicted(log: list[str]) -> None:
    residents = Residents(memory_budget_bytes=15)
    with residents.use("a", lambda: Engine("a", log), 10), residents.use("b", lambda: Engine("b", log), 10):
        assert [each.in_use for each in residents.loaded()] == [True, True]
    assert log == ["load a", "load b"]
    with residents.use("c", lambda: Engine("c", log), 10):
        assert log == ["load a", "load b", "close b", "close a", "load c"]


def test_more_than_the_whole_budget_is_refused_with_the_numbers(log: list[str]) -> None:
    residents = Residents(memory_budget_bytes=5_000_000)
    with (
        pytest.raises(NotEnoughMemory, match=r"needs 9 MB.*may take 5 MB") as refused,
        residents.use("a", lambda: Engine("a", log), 9_000_000),
    ):
        pass
    assert "memory_budget_mb" in refused.value.hint
    assert log == []


def test_a_failed_load_frees_the_lock_and_is_tried_again(log: list[str]) -> None:
    residents = Residents()

    def fail() -> Engine:
        raise EngineFailed("no", hint="none")

    with pytest.raises(EngineFailed, match="no"), residents.use("a", fail, 1):
        pass
    with residents.use("a", lambda: Engine("a", log), 1) as engine:
        assert engine.name == "a"


def test_a_second_use_by_the_same_thread_is_an_error_not_a_deadlock(log: list[str]) -> None:
    residents = Residents()
    with (
        residents.use("a", lambda: Engine("a", log), 1),
        pytest.raises(EngineFailed, match="already in use"),
        residents.use("a", lambda: Engine("a", log), 1),
    ):
        pass
    with residents.use("a", lambda: Engine("a", log), 1):
        pass


def test_an_abandoned_generator_gives_the_engine_back(log: list[str]) -> None:
    residents = Residents()

    def answer() -> Iterator[str]:
        with residents.use("a", lambda: Engine("a", log), 1) as engine:
            yield engine.name
            yield "never reached"

    iterator = answer()
    assert next(iterator) == "a"
    assert residents.loaded()[0].in_use
    iterator.close()  # type: ignore[attr-defined]  # a generator
    assert not residents.loaded()[0].in_use


def test_drop_closes_and_the_next_use_loads_anew(log: list[str]) -> None:
    residents = Residents()
    with residents.use("a", lambda: Engine("a", log), 1):
        assert not residents.drop("a")
    assert residents.drop("a")
    assert residents.drop("never loaded")
    with residents.use("a", lambda: Engine("a", log), 1):
        pass
    assert log == ["load a", "close a", "load a"]


def test_close_all_waits_for_the_one_in_use_then_refuses(log: list[str]) -> None:
    residents = Residents()
    entered, finish = threading.Event(), threading.Event()

    def work() -> None:
        with residents.use("a", lambda: Engine("a", log), 1):
            entered.set()
            finish.wait(10)
            log.append("work done")

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait(10)
    threading.Timer(0.01, finish.set).start()
    residents.close_all(wait_s=10)
    thread.join()
    assert log == ["load a", "work done", "close a"]
    with pytest.raises(EngineFailed, match="closing"), residents.use("a", lambda: Engine("a", log), 1):
        pass
    residents.close_all()
    assert log.count("close a") == 1


def test_close_all_leaves_one_that_stays_in_use(log: list[str]) -> None:
    residents = Residents()
    with residents.use("a", lambda: Engine("a", log), 1):
        residents.close_all(wait_s=0.0)
        assert log == ["load a"]


def test_a_kept_engine_is_shared_counts_in_the_budget_and_makes_no_room(log: list[str]) -> None:
    residents = Residents(memory_budget_bytes=100)
    kept = residents.keep("embed", lambda: Engine("embed", log), 60)
    assert residents.keep("embed", lambda: Engine("embed", log), 60) is kept
    assert residents.kept("embed") is kept
    with residents.use("chat", lambda: Engine("chat", log), 30):
        pass
    with residents.use("other chat", lambda: Engine("other chat", log), 35):
        pass
    assert log == ["load embed", "load chat", "close chat", "load other chat"]
    with pytest.raises(NotEnoughMemory):
        residents.keep("huge", lambda: Engine("huge", log), 101)
    assert residents.kept("chat") is None
    assert residents.drop("embed")
    assert residents.kept("embed") is None
    assert residents.keep("embed", lambda: Engine("embed", log), 60) is not kept
    residents.close_all()
    assert log[-2:] == ["close embed", "close other chat"]
    with pytest.raises(EngineFailed, match="closing"):
        residents.keep("embed", lambda: Engine("embed", log), 60)


def test_an_engine_first_used_and_then_kept_stays(log: list[str]) -> None:
    residents = Residents(memory_budget_bytes=100)
    with residents.use("embed", lambda: Engine("embed", log), 60) as used:
        pass
    assert residents.keep("embed", lambda: Engine("embed", log), 60) is used
    assert residents.kept("embed") is used
    with residents.use("chat", lambda: Engine("chat", log), 60):
        pass
    assert log == ["load embed", "load chat"]


def test_threads_that_ask_at_once_get_the_same_kept_engine(log: list[str]) -> None:
    residents = Residents()
    got: list[Engine] = []
    threads = [
        threading.Thread(target=lambda: got.append(residents.keep("a", lambda: Engine("a", log), 1))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len({id(each) for each in got}) == 1
    assert log == ["load a"]
