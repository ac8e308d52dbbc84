"""Texts of unlike length on their way through a model: put together by length, padded, several groups at work at once.

Knows token ids and lengths; what is computed of them is handed in. Used by everything that runs text through ONNX
Runtime or llama.cpp.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ResultT = TypeVar("ResultT")

MOST_THREADS = 64


def groups_by_length(lengths: Sequence[int], *, most_tokens: int, most_texts: int = 1 << 30) -> Iterator[list[int]]:
    """Indices in groups, the longest texts first; a group's padded size stays under `most_tokens` where it can.

    Always the same groups for the same lengths.
    """
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        longest = lengths[group[0]] if group else 0
        if group and (longest * (len(group) + 1) > most_tokens or len(group) == most_texts):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def padded(rows: Sequence[Sequence[int]], pad_id: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids of shape (len(rows), the longest row), filled up with `pad_id`, and the mask: 1 where there is a token."""
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), pad_id, np.int64)
    for target, row in zip(ids, rows, strict=True):
        target[: len(row)] = row
    return ids, (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)


class GroupWorkers:
    """Threads that work on groups; `close` ends them. Thread-safe."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix=name)  # starts threads as needed

    def work(
        self,
        groups: Iterator[list[int]],
        compute: Callable[[list[int]], ResultT],
        at_once: Callable[[], int],
    ) -> Generator[tuple[list[int], ResultT], None, None]:
        """Each group with what `compute` made of it, in the order given.

        `at_once` is asked before each group how many may be at work, in the caller's own thread if it is one. The
        next groups are under way while the caller holds one; closing the generator lets them go.
        """
        under_way: deque[tuple[list[int], Future[ResultT]]] = deque()
        waiting = next(groups, None)
        try:
            while waiting is not None or under_way:
                most = at_once()
                if most == 1 and not under_way and waiting is not None:
                    group, waiting = waiting, next(groups, None)
                    yield group, compute(group)
                    continue
                while waiting is not None and len(under_way) < most:
                    under_way.append((waiting, self._pool.submit(compute, waiting)))
                    waiting = next(groups, None)
                group, future = under_way.popleft()
                yield group, future.result()
        finally:
            for _, future in under_way:
                future.cancel()

    def close(self) -> None:
        """Wait for the groups under way. Safe to call twice."""
        self._pool.shutdown(wait=True, cancel_futures=True)
