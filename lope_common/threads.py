"""Tasks in this thread, or in several, and their results in the order of the tasks.

Threads, since nearly all of their time is spent in code that lets others run beside it: kernels, Arrow, hashes. A
process would first have to start and import what this one has (docs/decisions.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks that wait for a thread: so many results, beside those in the making, are held in memory


def run_tasks(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """The results in order. A task is asked for when a thread is about to be free. The first task that fails, in that
    order, stops the rest and raises what it raised, so that what is said is the same whoever was faster.
    """
    if workers <= 1:
        yield from map(function, tasks)
        return
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[Result]] = deque()
        left = iter(tasks)
        failed: Exception | None = None
        try:
            while True:
                try:
                    task = next(left)
                except StopIteration:
                    break
                except Exception as error:  # the tasks before it may have failed too, and come first
                    failed = error
                    break
                running.append(pool.submit(function, task))
                if len(running) >= workers + _AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
            if failed is not None:
                raise failed
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
