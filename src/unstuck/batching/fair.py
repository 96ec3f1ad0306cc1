"""Worker threads that models take turns on, however many calls of one of them wait."""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

Result = TypeVar("Result")
Given = ParamSpec("Given")

Task = tuple[Future[Any], Callable[[], Any]]


class FairThreads(Executor):
    """An executor whose threads go round those who have tasks waiting, one task a turn. Thread-safe.

    A queue in the order in which tasks came would let one model's hundred waiting calls hold up every call of another.
    """

    def __init__(self, threads: int, thread_name_prefix: str = "") -> None:
        """``threads``: how many at most; each is started once there is a task for it."""
        self._most = threads
        self._prefix = thread_name_prefix
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[Task]] = {}  # of those that have any; whose turn it is comes first
        self._threads: list[threading.Thread] = []
        self._pending = 0
        self._free = 0  # threads without a task, also those that are about to start
        self._ended = False

    def submit(self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Result]:
        """As ``submit_for``, on behalf of nobody in particular."""
        return self.submit_for(None, fn, *args, **kwargs)

    def submit_for(
        self, whom: Hashable, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Runs ``fn(*args)`` on a thread, in turn with the tasks of others than ``whom``.

        Raises:
            RuntimeError: it was shut down.
        """
        future: Future[Result] = Future()
        with self._changed:
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._waiting.setdefault(whom, deque()).append((future, lambda: fn(*args, **kwargs)))
            self._pending += 1
            if self._pending > self._free and len(self._threads) < self._most:
                self._start_thread()
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks; runs those that wait, or cancels them."""
        with self._changed:
            self._ended = True
            if cancel_futures:
                for future in [future for tasks in self._waiting.values() for future, _ in tasks]:
                    future.cancel()
                self._waiting.clear()
                self._pending = 0
            self._changed.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _start_thread(self) -> None:
        name = f"{self._prefix}_{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        self._free += 1
        thread.start()

    def _work(self) -> None:
        while self._run_next():  # a call of its own, so that a sleeping thread refers to no task
            pass

    def _run_next(self) -> bool:
        task = self._next()
        if task is None:
            return False
        future, work = task
        if future.set_running_or_notify_cancel():
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is the future's
                future.set_exception(error)
            else:
                future.set_result(result)
        with self._changed:
            self._free += 1
        return True

    def _next(self) -> Task | None:
        """The next task, once there is one; None where the thread is to end."""
        with self._changed:
            while not self._waiting:
                if self._ended:
                    return None
                self._changed.wait()
            whom, tasks = next(iter(self._waiting.items()))
            task = tasks.popleft()
            del self._waiting[whom]
            if tasks:
                self._waiting[whom] = tasks  # the others' turn first
            self._pending -= 1
            self._free -= 1
            return task
