"""What can go wrong, and who tries again."""

from __future__ import annotations


class InfluenceError(RuntimeError):
    """An error of the run itself: of the configuration, of a row that was not solved, of memory.

    It is the same on every worker, so nobody tries again.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        #: ``input``, ``unsolved``, ``memory``, ``computation`` or ``order``.
        self.kind = kind
        #: What is wrong, and where.
        self.message = message

    def __str__(self) -> str:
        return self.message


class StorageError(OSError):
    """A file or a store could not be read or written. Tried again."""


class ProcessLost(RuntimeError):
    """The process of a worker ended while it had an order. Tried again, in another process."""


class ThreadSafetyViolationError(ValueError):
    """Some worker of a cluster has several threads.

    The processes that compute do so one order at a time, so several threads would only wait for
    each other.
    """

    def __init__(self, nthreads: dict[str, int]) -> None:
        several = {address: threads for address, threads in nthreads.items() if threads != 1}
        super().__init__(
            f"workers with several threads: {several}. A worker has one process that computes, "
            "one order at a time, so give it one thread:\n"
            "client = Client(threads_per_worker=1)"
        )


class DisableClientSingleThreadCheck:
    """Given in place of a client: workers are not looked at.

    Every process of the scheduler that computes then starts a process of its own when it first
    needs one.
    """
