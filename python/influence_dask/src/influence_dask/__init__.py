"""Influence functions on a Dask cluster, computed by the program ``influence``.

``DaskInfluenceCalculator`` has the methods of pyDVL's class of that name. What they return are lazy
``dask.array.Array``; their bytes are those that ``influence run`` writes, whatever the cluster.
"""

from .calculator import DaskInfluenceCalculator
from .errors import (
    DisableClientSingleThreadCheck,
    InfluenceError,
    ProcessLost,
    StorageError,
    ThreadSafetyViolationError,
)
from .resident import Settings

__all__ = [
    "DaskInfluenceCalculator",
    "DisableClientSingleThreadCheck",
    "InfluenceError",
    "ProcessLost",
    "Settings",
    "StorageError",
    "ThreadSafetyViolationError",
]
