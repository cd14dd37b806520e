"""The local engine: tasks in this thread, or in several.

Threads, since nearly all of a shard's time is spent in code that lets others run beside it: kernels, Arrow, hashes. A
process would first have to start and import what this one has (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks that wait for a thread: so many results, beside those in the making, are held in memory


def run_tasks(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """The results, in order of completion. A failed task stops the rest and raises what it raised."""
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from map(function, tasks)
        return
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[Result]] = set()
        try:
            for task in tasks:
                running.add(pool.submit(function, task))
                while len(running) >= workers + _AHEAD:
                    yield _one_of(running)
            while running:
                yield _one_of(running)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_of(running: set[Future[Result]]) -> Result:
    """The result of one that is done; it is kept nowhere else."""
    future = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
    running.remove(future)
    return future.result()
