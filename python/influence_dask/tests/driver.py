"""Stores influences, as a program that may be killed: `driver.py BINARY CONFIG OUTPUT`. Prints the
processes of its workers once they compute."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from distributed import Client

from influence_dask import DaskInfluenceCalculator
from test_cluster import children, cluster, wait_for, working

if __name__ == "__main__":
    binary, config, output = sys.argv[1:]
    with cluster(2) as started, Client(started) as client, ThreadPoolExecutor() as pool:
        calculator = DaskInfluenceCalculator(config, client, binary, panels=22)
        stored = pool.submit(calculator.to_zarr, output)
        wait_for(lambda: working(client, "write") or stored.done())
        found = [*client.run(children).values(), client.run(os.getpid).values()]
        print(*(pid for pids in found for pid in pids), flush=True)
        stored.result()
