"""The calculator."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from distributed import Client, as_completed

from . import tasks
from .errors import (
    DisableClientSingleThreadCheck,
    InfluenceError,
    ThreadSafetyViolationError,
)
from .resident import InfluencePlugin, Settings

logger = logging.getLogger(__name__)

#: Panels for each worker, at least: enough that nobody waits long for the last one.
PANELS_PER_WORKER = 4
#: Bytes of a panel that goes through Dask, at most, as far as chunks allow: small enough that
#: neither a process nor a worker needs much memory for it.
PANEL_BYTES = 32 << 20


class DaskInfluenceCalculator:
    """Computes the influences that a configuration describes on the workers of a Dask cluster.

    Each worker has one resident process, ``influence worker``, which holds the model, the data and
    the fit. The work is cut into *panels*, runs of columns of chunks, or of rows where solving is
    expensive, so that each test point is solved once. A panel is one task, named on the dashboard.
    The bytes of a result are those of one run of ``influence run``, whatever the workers, and
    whatever happened to them.

    ``config``
        The configuration, a path that all workers see, as they see the files that it names.
    ``client``
        A ``distributed.Client`` whose workers have one thread each, or the type
        ``DisableClientSingleThreadCheck``, with which any scheduler may compute.
    ``binary``
        The program, as the workers find it; one of your own with burn models does as well.
    ``settings``
        Overrides of the configuration, such as ``"method.damping=0.01"``.
    ``fitted``
        Where the fit is kept, a path that all workers see, or a URL that the program can write to.
        ``fit`` writes it, each worker a share. Without it each worker fits by itself, with the
        same outcome.
    ``threads``
        Threads of each process.
    ``memory``
        What each process may take, such as ``"2GB"``.
    ``retries``
        How often a panel is tried again when its process is lost or a file cannot be read. Lost
        workers do not count.
    ``panels``
        Panels of a result, by default four for each worker, and more where they would take more
        than 32 MiB each. No byte depends on it.

    Raises ``ThreadSafetyViolationError`` when a worker has several threads, ``ValueError`` when
    ``client`` is neither of the two.
    """

    def __init__(
        self,
        config: str,
        client: Client | type[DisableClientSingleThreadCheck],
        binary: str = "influence",
        *,
        settings: Sequence[str] = (),
        fitted: str | None = None,
        threads: int = 1,
        memory: str | None = None,
        retries: int = 3,
        panels: int | None = None,
    ) -> None:
        arguments = [f"--threads={threads}", *(f"--set={setting}" for setting in settings)]
        arguments += [f"--fitted={fitted}"] if fitted else []
        arguments += [f"--memory={memory}"] if memory else []
        self.settings = Settings(str(config), str(binary), tuple(arguments))
        self.client = _checked(client)
        self._plugin = InfluencePlugin(self.settings)
        self.fitted = fitted
        self.retries = retries
        self._panels = panels
        self._descriptions: dict[tuple[str, int], dict[str, Any]] = {}
        self._register()

    def fit(self) -> DaskInfluenceCalculator:
        """Fits, and lets every worker hold the fit. Without this call, workers fit when they get
        their first panel.

        With ``fitted``, each worker does a share of every sum over the training data, and what it
        has added is kept beside the fit until the fit is there. So a worker that is lost loses what
        it was doing, no more, and so does the client: called again, ``fit`` goes on. The fit has
        the bytes of one that ``influence fit`` makes in one process. A fit that is there already is
        read.
        """
        if self.client is None:
            self._ask({"order": "fit"})
            return self
        if self.fitted:
            self._fit_by_shares()
        # Where one is lost, another one answers; what takes its place reads the fit later.
        fits = [
            self._submit({"order": "fit"}, workers=[worker], allow_other_workers=True)
            for worker in self.client.nthreads()
        ]
        self.client.gather(fits)
        return self

    @property
    def n_parameters(self) -> int:
        """The number of parameters of the model."""
        return self._ask({"order": "fit"})["parameters"]

    def influence_factors(self) -> da.Array:
        """The factors ``(test, parameter)`` of the test points of the configuration."""
        return self._lazy("factors", "factors")

    def influences(self) -> da.Array:
        """The influences ``(test, train)``, followed by the axes of a score if it has any: blocks,
        dampings of a sweep, or the numbers of an input under ``compute.mode = "perturbation"``."""
        return self._lazy("influences", "scores")

    def self_influences(self) -> da.Array:
        """The influence ``(train)`` of training points on themselves."""
        return self._lazy("self-influences", "self-influences")

    def influences_from_factors(self, factors: da.Array) -> da.Array:
        """The influences of test points whose ``factors`` are given, as ``influence_factors``
        gives them or read from where they were stored.

        Factors of methods with thin factors (Kronecker) are larger as plain numbers, and scores of
        them differ in the last bits from those of ``influences``.
        """
        about = self._describe("influences")
        rows, columns = about["chunks"][:2]
        factors = factors.rechunk({0: rows, 1: -1})
        bounds = _cuts(about["shape"][1], columns, len(about["parts"]))
        token = uuid4().hex[:8]
        blocks = []
        for row, z in enumerate(factors.to_delayed()[:, 0]):
            height = factors.chunks[0][row]
            blocks.append([])
            for index, width in enumerate(bounds):
                shape = (height, width, *about["shape"][2:])
                order = {"order": "scores", "share": f"{index}/{len(bounds)}"}
                name = f"influence-scores-from-factors-{row}-{index}-{token}"
                blocks[-1].append(self._part(order, name, about["dtype"], shape, z))
        whole = da.concatenate([da.concatenate(panels, axis=1) for panels in blocks])
        chunks = (factors.chunks[0], columns, *about["shape"][2:])
        return whole.rechunk(chunks, method="tasks")

    def to_zarr(
        self, output: str, *, quantity: str = "influences", overwrite: bool = False
    ) -> da.Array:
        """Lets the workers write an output, and opens it.

        ``output`` is a folder that all workers see, or a URL that the program can write to. It has
        the bytes of the output of ``influence run``, with coordinates, how rows were solved, and
        checksums, so that ``influence report``, ``verify`` and all others read it. No number goes
        through Dask. Called again, after the client was lost for example, it goes on: what is
        written is not computed again. ``quantity`` is ``influences`` or ``self-influences``.
        """
        place = {"quantity": quantity, "output": str(output)}
        self._ask({"order": "declare", "overwrite": overwrite, **place})
        count = self._count()
        orders = [
            {"order": "write", "share": f"{index}/{count}", **place} for index in range(count)
        ]
        self._carry_out(orders)
        # Checks every chunk, and computes what is missing.
        self._ask({"order": "finish", **place})
        return da.from_zarr(str(output), component=quantity.replace("-", "_"))

    def close(self) -> None:
        """Ends the processes, which otherwise stay until their workers go. Arrays that are not
        computed yet start others."""
        if self.client is None:
            self._plugin.end("")
        else:
            self.client.unregister_worker_plugin(self._plugin.name)

    def __enter__(self) -> DaskInfluenceCalculator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def dimensions(self, quantity: str = "influences") -> list[str]:
        """The names of the axes of ``influences``, ``factors`` or ``self-influences``."""
        return self._describe(quantity)["dimensions"]

    def labels(self, quantity: str = "influences") -> dict[str, list[str]]:
        """The labels of axes that have some, such as the dampings of a sweep."""
        return dict(self._describe(quantity)["labels"])

    def _lazy(self, quantity: str, order: str) -> da.Array:
        """The whole, one task for each panel, in the chunks of the grid."""
        about = self._describe(quantity)
        parts, token = about["parts"], uuid4().hex[:8]
        panels = []
        for index, place in enumerate(parts):
            sides = [end - start for start, end in (place["rows"], place["columns"])]
            shape = (*sides, *about["shape"][2:])
            if quantity == "self-influences":
                shape = (sides[0], *about["shape"][1:])
            if 0 in sides:
                continue
            share = {"order": order, "share": f"{index}/{len(parts)}"}
            panels.append(
                self._part(share, f"influence-{order}-{index}-{token}", about["dtype"], shape)
            )
        if not panels:
            return da.zeros(about["shape"], dtype=about["dtype"], chunks=about["chunks"])
        by_rows = quantity == "self-influences" or parts[0]["rows"] != parts[-1]["rows"]
        whole = da.concatenate(panels, axis=0 if by_rows else 1)
        # Panels are cut, never joined, so that this moves nothing between workers.
        return whole.rechunk(tuple(about["chunks"]), method="tasks")

    def _part(
        self,
        order: dict[str, Any],
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        factors: Any = None,
    ) -> da.Array:
        compute = dask.delayed(tasks.part, pure=False)
        task = compute(
            self.settings, order, self.retries, dtype, factors, dask_key_name=f"{name}-part"
        )
        return da.from_delayed(task, shape, dtype=np.dtype(dtype), name=name)

    def _describe(self, quantity: str) -> dict[str, Any]:
        """What a result looks like, in panels."""
        about = self._described(quantity, 1)
        size = math.prod(about["shape"]) * np.dtype(about["dtype"]).itemsize
        return self._described(quantity, self._count(size))

    def _described(self, quantity: str, shares: int) -> dict[str, Any]:
        asked = (quantity, shares)
        if asked not in self._descriptions:
            order = {"order": "describe", "quantity": quantity, "shares": shares}
            self._descriptions[asked] = self._ask(order)
        return self._descriptions[asked]

    def _count(self, size: int = 0) -> int:
        """How many panels a result of this many bytes has."""
        if self._panels is not None:
            return self._panels
        workers = 1 if self.client is None else max(1, len(self.client.nthreads()))
        return max(PANELS_PER_WORKER * workers, -(-size // PANEL_BYTES))

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self.client is None:
            return tasks.ask(self.settings, order, self.retries)
        return self._submit(order).result()

    def _fit_by_shares(self) -> None:
        """Orders all shares, again and again until one of them finds what it needs.

        A share goes through the fit up to the first sum of which parts of others are missing, so
        that each round ends one sum at least; there may be more or fewer workers each time.
        """
        is_done = False
        while not is_done:
            count = max(1, len(self.client.nthreads()))
            orders = [{"order": "fit", "share": f"{index}/{count}"} for index in range(count)]
            is_done = any([answer["done"] for answer in self._carry_out(orders)])

    def _carry_out(self, orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Carries out orders, one task each; gives the answers in any order."""
        if self.client is None:
            return [self._ask(order) for order in orders]
        token = uuid4().hex[:8]
        futures = [
            self.client.submit(
                tasks.attempt,
                self.settings,
                order,
                key=f"influence-{order['order']}-{index}-{token}",
                retries=self.retries,
                pure=False,
            )
            for index, order in enumerate(orders)
        ]
        answers = []
        for future, outcome in as_completed(futures, with_results=True):
            # Released at once: a task that is done is not done again when its worker is lost.
            future.release()
            if isinstance(outcome, InfluenceError):
                self.client.cancel(futures)
                raise outcome
            answers.append(outcome)
        return answers

    def _submit(self, order: dict[str, Any], **options: Any) -> Any:
        name = f"influence-{order['order']}-{uuid4().hex[:8]}"
        return self.client.submit(
            tasks.ask, self.settings, order, self.retries, key=name, pure=False, **options
        )

    def _register(self) -> None:
        """Lets processes end with their workers."""
        if self.client is None:
            return
        # Registered again, it would end processes that another calculator has started.
        found = self.client.run(tasks.has_plugin, self._plugin.name)
        if not found or not all(found.values()):
            self.client.register_plugin(self._plugin)


def _checked(client: Client | type[DisableClientSingleThreadCheck]) -> Client | None:
    if client is DisableClientSingleThreadCheck:
        logger.warning(
            "workers are not looked at: each should have one thread, as its process computes one "
            "order at a time"
        )
        return None
    if not isinstance(client, Client):
        raise ValueError(
            "The 'client' parameter must either be a distributed.Client object or the type "
            "'DisableClientSingleThreadCheck'."
        )
    nthreads = client.nthreads()
    if any(threads != 1 for threads in nthreads.values()):
        raise ThreadSafetyViolationError(nthreads)
    return client


def _cuts(points: int, chunk: int, shares: int) -> list[int]:
    """The points of each share, as the program cuts them: whole chunks, evenly."""
    chunks = -(-points // chunk) if points else 0
    shares = max(1, min(shares, chunks))
    starts = [min(index * chunks // shares * chunk, points) for index in range(shares + 1)]
    return [end - start for start, end in zip(starts, starts[1:])]
