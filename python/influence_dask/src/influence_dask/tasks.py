"""What runs on the workers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Worker, get_worker

from .errors import InfluenceError
from .resident import Settings, resident


def ask(settings: Settings, order: dict[str, Any], retries: int) -> dict[str, Any]:
    """Gives an order that is answered without numbers."""
    return resident(settings).order(order, retries)


def attempt(settings: Settings, order: dict[str, Any]) -> dict[str, Any] | InfluenceError:
    """As ``ask``, for a task that Dask tries again: it tries whatever raises, so an error of the
    run, which would be the same each time, is returned."""
    try:
        return resident(settings).order(order)
    except InfluenceError as error:
        return error


def part(
    settings: Settings,
    order: dict[str, Any],
    retries: int,
    dtype: str,
    factors: np.ndarray | None = None,
) -> np.ndarray:
    """Computes a part of a result; ``factors`` are those of its test points, if they are given."""
    with tempfile.TemporaryDirectory(prefix="influence-", dir=_folder()) as folder:
        values = Path(folder, "values")
        order = {**order, "path": str(values)}
        if factors is not None:
            order["factors"] = str(Path(folder, "factors"))
            np.ascontiguousarray(factors, dtype).tofile(order["factors"])
        answer = resident(settings).order(order, retries)
        return np.fromfile(values, dtype).reshape(answer["shape"])


def has_plugin(name: str, dask_worker: Worker) -> bool:
    """Whether a worker has a plugin."""
    return name in dask_worker.plugins


def _folder() -> str | None:
    """Where a worker keeps files; it cleans up after one that was killed."""
    try:
        return get_worker().local_directory
    except ValueError:
        return None
