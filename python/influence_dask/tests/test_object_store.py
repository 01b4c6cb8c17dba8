"""Outputs, fits and their sums in an object store have the bytes of those in a folder.

The store is moto's server, which speaks the protocol of S3: ``pip install 'moto[server]' s3fs``, and
a program with the feature ``s3``. Skipped where either is missing.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from unittest.mock import patch

import numpy as np
from distributed import Client

from influence_dask import DaskInfluenceCalculator
from problem import BINARY, Problem, tree
from test_cluster import cluster, wait_for

try:
    import boto3
    import s3fs  # noqa: F401, what Dask opens it with
    from moto.server import ThreadedMotoServer
except ImportError as missing:
    raise unittest.SkipTest(f"{missing}: no object store is tested") from missing

BUCKET = "influences"
#: What a share ends with that waits for others.
WAITING = 75

#: The store, as the tests read it.
store: boto3.client


def setUpModule() -> None:
    global store
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    unittest.addModuleCleanup(server.stop)
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    changed = patch.dict(os.environ, environment)
    changed.start()
    unittest.addModuleCleanup(changed.stop)
    store = boto3.client("s3", endpoint_url=endpoint)
    store.create_bucket(Bucket=BUCKET)
    asked = [BINARY, "inspect", f"s3://{BUCKET}/none.zarr"]
    answer = subprocess.run(asked, capture_output=True, text=True)
    if "needs the feature `s3`" in answer.stderr:
        raise unittest.SkipTest("the program is built without the feature s3: no store is tested")


def objects(prefix: str) -> dict[str, bytes]:
    """All objects below a prefix."""
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {key[len(prefix) + 1 :]: value(key) for key in keys}


def value(key: str) -> bytes:
    return store.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def command(*line: str) -> list[str]:
    return [BINARY, *line, "--quiet", "--threads", "1"]


def start(*line: str) -> subprocess.Popen[bytes]:
    """Starts a command whose words are of no interest."""
    return subprocess.Popen(
        command(*line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


class OnTheCommandLine(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.problem = Problem(folder.name)

    def test_shares_of_an_output_write_what_one_run_writes_to_a_folder(self) -> None:
        for method in ("direct", "cg", "ekfac", "arnoldi", "perturbation", "sweep"):
            config = self.problem.config(method)
            self.problem.expected(config)
            expected = tree(self.problem.output(config))
            for shares in (1, 2, 3):
                prefix = f"{method}-{shares}.zarr"
                output = ("--set", f"output.path=s3://{BUCKET}/{prefix}")
                self.problem.influence("declare", config, *output)
                for index in reversed(range(shares)):
                    share = ("--share", f"{index}/{shares}")
                    self.problem.influence("run", config, *output, *share)
                self.problem.influence("finish", config, *output)
                self.assertEqual(objects(prefix), expected, f"{method}, {shares} shares")

    def test_a_share_may_be_killed_and_another_run_twice_at_once(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            problem = Problem(folder, train=400)
            config = problem.config("slow", train_chunk=25)
            problem.expected(config)
            output = ("--set", f"output.path=s3://{BUCKET}/slow.zarr")
            problem.influence("declare", config, *output)
            before = len(objects("slow.zarr"))
            killed = start("run", config, *output, "--share", "0/2")
            twins = [start("run", config, *output, "--share", "1/2") for _ in range(2)]
            wait_for(lambda: len(objects("slow.zarr")) > before + 2)
            killed.kill()
            self.assertEqual(killed.wait(), -signal.SIGKILL)
            self.assertEqual([twin.wait() for twin in twins], [0, 0])
            problem.influence("finish", config, *output)
            self.assertEqual(objects("slow.zarr"), tree(problem.output(config)))

    def test_shares_of_a_fit_keep_what_one_process_keeps_in_a_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            problem = Problem(folder, train=7_000)
            for method in ("direct", "ekfac", "arnoldi"):
                config = problem.config(method, train_chunk=1000)
                url = f"s3://{BUCKET}/{method}.safetensors"
                self.by_shares(config, url, 3)
                self.assertEqual(value(f"{method}.safetensors"), problem.fit(config), method)
                self.assertEqual(objects(f"{method}.safetensors.shares"), {}, "sums are removed")
                # A run takes it.
                got = ("run", config, "--fitted", url, "--set", f"output.path={folder}/{method}.zarr")
                problem.influence(*got)
                problem.expected(config)
                self.assertEqual(tree(f"{folder}/{method}.zarr"), tree(problem.output(config)))

    def by_shares(self, config: str, url: str, shares: int) -> None:
        """Runs shares, at once, again and again; some are killed."""
        left, rounds = set(range(shares)), 0
        while left:
            rounds += 1
            running = {
                index: start("fit", config, "--fitted", url, "--share", f"{index}/{shares}")
                for index in left
            }
            if rounds % 3 == 1:
                time.sleep(0.2)
                running[min(left)].kill()
            ends = {index: process.wait() for index, process in running.items()}
            self.assertLessEqual(set(ends.values()), {0, WAITING, -signal.SIGKILL})
            left -= {index for index, code in ends.items() if code == 0}
            self.assertLess(rounds, 200)


class OnACluster(unittest.TestCase):
    """Two workers of Dask, which have the environment of the store."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.problem = Problem(cls.folder.name, train=5_000)
        cls.cluster = cluster(2)
        cls.client = Client(cls.cluster)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.client.close()
        cls.cluster.close()
        cls.folder.cleanup()

    def test_the_fit_and_the_output_are_those_of_one_run(self) -> None:
        config = self.problem.config("ekfac", train_chunk=500)
        expected = self.problem.expected(config)
        fitted, output = f"s3://{BUCKET}/dask.safetensors", f"s3://{BUCKET}/ours.zarr"
        with DaskInfluenceCalculator(config, self.client, BINARY, fitted=fitted) as calculator:
            calculator.fit()
            self.assertEqual(value("dask.safetensors"), self.problem.fit(config))
            self.assertEqual(objects("dask.safetensors.shares"), {})
            stored = calculator.to_zarr(output)
            self.assertEqual(np.asarray(stored).tobytes(), expected.tobytes())
            self.assertEqual(objects("ours.zarr"), tree(self.problem.output(config)))

    def test_stored_the_way_of_dask(self) -> None:
        import dask.array as da

        config = self.problem.config("direct", train_chunk=500)
        url = f"s3://{BUCKET}/dask.zarr"
        with DaskInfluenceCalculator(config, self.client, BINARY) as calculator:
            calculator.influences().to_zarr(url)
        got = np.asarray(da.from_zarr(url))
        self.assertEqual(got.tobytes(), self.problem.expected(config).tobytes())


if __name__ == "__main__":
    unittest.main()
