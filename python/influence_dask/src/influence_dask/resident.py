"""The resident process of a worker: ``influence worker``, which holds model, data and fit."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from dataclasses import dataclass
from typing import Any

from dask.base import tokenize
from distributed import Worker, WorkerPlugin, get_worker

from .errors import InfluenceError, ProcessLost, StorageError

#: How long a process may take to end when its input ends.
PATIENCE = 10.0


@dataclass(frozen=True)
class Settings:
    """How a process is started; equal settings mean the same computation."""

    #: The configuration, as the workers see it.
    config: str
    #: The program, as the workers find it.
    binary: str = "influence"
    #: Further arguments of ``influence worker``.
    arguments: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The command line."""
        return [self.binary, "worker", self.config, "--progress", "none", *self.arguments]


class Resident:
    """A process that takes one order at a time; started when it is first needed, and again when it
    was lost."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None
        self.closed = False
        self._lock = threading.Lock()

    def order(self, order: dict[str, Any], retries: int = 0) -> dict[str, Any]:
        """Gives an order, and waits for its answer.

        Raises ``InfluenceError`` at once; ``ProcessLost`` and ``StorageError`` after ``retries``
        further attempts.
        """
        for _ in range(retries):
            with contextlib.suppress(ProcessLost, StorageError):
                return self._once(order)
        return self._once(order)

    def close(self) -> None:
        """Ends the process for good; an order that it has is lost, as if the worker were."""
        self.closed = True
        process = self.process
        if process is None:
            return
        if self._lock.acquire(blocking=False):
            try:
                process.stdin.close()
                process.wait(PATIENCE)
            except (OSError, subprocess.TimeoutExpired):
                pass
            finally:
                self._lock.release()
        process.kill()
        process.wait()

    def _once(self, order: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            process, answer = self._running(), None
            try:
                answer = _answered(process, order)
            finally:
                # Also after an interrupt: the next order must not get the answer to this one.
                if answer is None:
                    self.process = None
                    process.kill()
                    process.wait()
        if answer is None:
            raise ProcessLost(f"`{' '.join(process.args)}` ended with {process.returncode}")
        if "ok" in answer:
            return answer["ok"]
        kind, message = answer["error"]["kind"], answer["error"]["message"]
        raise StorageError(message) if kind == "storage" else InfluenceError(kind, message)

    def _running(self) -> subprocess.Popen[str]:
        if self.closed:
            raise ProcessLost("the worker is closing")
        if self.process is None or self.process.poll() is not None:
            # In a session of its own: the interrupt of a terminal is for the client.
            self.process = subprocess.Popen(
                self.settings.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        return self.process


def _answered(process: subprocess.Popen[str], order: dict[str, Any]) -> dict[str, Any] | None:
    """What a process answers to an order; nothing if it has ended."""
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except OSError:
        return None
    if not line.endswith("\n"):
        return None
    with contextlib.suppress(ValueError):
        answer = json.loads(line)
        if isinstance(answer, dict) and ("ok" in answer or "error" in answer):
            return answer
    raise InfluenceError(
        "computation",
        f"`{' '.join(process.args)}` printed {line.strip()!r} where an answer was expected; its "
        "stdout is for answers alone, so let models print to stderr",
    )


#: The processes by settings and worker: several workers may share a process of Python.
_residents: dict[tuple[Settings, str], Resident] = {}
_residents_lock = threading.Lock()


def resident(settings: Settings) -> Resident:
    """The process of the worker that a task runs on, or of this process of Python outside one."""
    try:
        address = get_worker().address
    except ValueError:
        address = ""
    with _residents_lock:
        return _residents.setdefault((settings, address), Resident(settings))


class InfluencePlugin(WorkerPlugin):
    """Ends the resident process of a worker with the worker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"influence-{tokenize(settings.command())}"

    def teardown(self, worker: Worker) -> None:
        """Ends the process, if one was started."""
        self.end(worker.address)

    def end(self, address: str) -> None:
        """Ends the process of a worker."""
        with _residents_lock:
            found = _residents.pop((self.settings, address), None)
        if found is not None:
            found.close()
