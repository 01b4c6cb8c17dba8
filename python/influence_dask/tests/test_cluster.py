"""Values on a cluster are those of one run, also when parts of it are lost.

``python -m unittest discover -s tests`` with the program in ``INFLUENCE_BINARY``, or on the path.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import numpy as np
from distributed import Client, LocalCluster
from distributed.core import Status

from influence_dask import (
    DaskInfluenceCalculator,
    DisableClientSingleThreadCheck,
    InfluenceError,
    ProcessLost,
    ThreadSafetyViolationError,
)
from influence_dask import resident
from problem import BINARY, METHODS, Problem, tree

#: How many seconds something may take to happen that takes no time.
PATIENCE = 20
#: How many seconds a test may take; one that hangs shows where, and ends the whole.
LIMIT = 120


#: A problem that takes seconds, for all tests in which something is lost meanwhile.
slow: Problem
#: A problem whose sums over the training data have several parts, of 2,048 points each.
large: Problem


def setUpModule() -> None:
    global slow, large
    # A local cluster gives up a worker that is away this long after it was lost, also where it came
    # back and was lost again meanwhile.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
    folders = [tempfile.TemporaryDirectory() for _ in range(2)]
    for folder in folders:
        unittest.addModuleCleanup(folder.cleanup)
    slow = Problem(folders[0].name, train=2000)
    slow.expected(slow_config())
    large = Problem(folders[1].name, train=13_000)


def slow_config() -> str:
    return slow.config("slow", train_chunk=1000)


def cluster(workers: int, threads: int = 1) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )


def children(config: str = "") -> list[int]:
    """The processes of a worker of Dask that compute, of a configuration, and are there."""
    found = [it.process for it in resident._residents.values() if config in it.settings.config]
    return [process.pid for process in found if process is not None and process.poll() is None]


def kill(pid: int) -> None:
    """Kills a process, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for(what, seconds: float = PATIENCE):
    """Waits until ``what`` returns something, and gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def recorded(calculator: DaskInfluenceCalculator) -> list[tuple[list[dict], list[dict]]]:
    """The orders that are carried out together from now on, with their answers."""
    carry_out, rounds = calculator._carry_out, []

    def recording(orders: list[dict]) -> list[dict]:
        rounds.append((orders, carry_out(orders)))
        return rounds[-1][1]

    calculator._carry_out = recording
    return rounds


def listed(folder: Path) -> list[str]:
    """What is in a folder, which may go meanwhile."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def working(client: Client, order: str = "scores", config: str = "slow") -> str | None:
    """A worker whose process carries out an order."""
    processing = client.processing().items()
    busy = (it for it, tasks in processing if any(order in str(key) for key in tasks))
    # One that was killed just now does not answer.
    found = (client.run(children, config, workers=[it], on_error="ignore") for it in busy)
    return next((it for answer in found for it, pids in answer.items() if pids), None)


class OnACluster(unittest.TestCase):
    """Two workers of one thread each, for all tests."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.problem = Problem(cls.folder.name)
        cls.cluster = cluster(2)
        cls.client = Client(cls.cluster)

    @classmethod
    def tearDownClass(cls) -> None:
        pids = [pid for found in cls.client.run(children).values() for pid in found]
        cls.client.close()
        cls.cluster.close()
        assert pids, "processes were started"
        wait_for(lambda: not any(is_there(pid) for pid in pids))
        cls.folder.cleanup()

    def setUp(self) -> None:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.wait_for_workers()

    def wait_for_workers(self) -> None:
        """Waits until a worker that was killed was started again."""
        self.client.wait_for_workers(2, timeout=PATIENCE * 3)

    def calculator(self, config: str, **options) -> DaskInfluenceCalculator:
        return DaskInfluenceCalculator(config, self.client, BINARY, **options)

    def children(self, config: str = "") -> dict[str, list[int]]:
        return self.client.run(children, config)

    def started(self, config: str) -> set[int]:
        return {pid for pids in self.children(config).values() for pid in pids}

    def same(self, got, expected: np.ndarray) -> None:
        got = np.asarray(got)
        self.assertEqual((got.shape, got.dtype), (expected.shape, expected.dtype))
        self.assertEqual(got.tobytes(), expected.tobytes())

    def test_values_are_those_of_one_run(self) -> None:
        for method in (it for it in METHODS if it not in ("slow", "long")):
            config = self.problem.config(method)
            before = self.started(config)
            with self.calculator(config) as calculator:
                influences = calculator.influences()
                self.assertEqual(influences.chunksize[:2], (8, 16))
                self.same(influences, self.problem.expected(config))
            self.assertFalse(self.started(config) - before)

    def test_self_influences_and_single_precision(self) -> None:
        config = self.problem.config("ekfac", precision="f32")
        calculator = self.calculator(config, settings=["output.path=x.zarr"])
        self.same(calculator.self_influences(), self.problem.expected(config, "self"))
        os.rename(config, config := config.replace("ekfac", "single"))
        self.same(self.calculator(config).influences(), self.problem.expected(config))

    def test_factors_score_to_the_same_values(self) -> None:
        config = self.problem.config("cg")
        calculator = self.calculator(config, panels=3)
        factors = calculator.influence_factors()
        self.assertEqual(factors.shape, (22, calculator.n_parameters))
        influences = calculator.influences_from_factors(factors)
        self.same(influences, self.problem.expected(config))
        some = calculator.influences_from_factors(factors[8:16])
        self.same(some, self.problem.expected(config)[8:16])

    def test_stored_the_way_of_dask(self) -> None:
        import dask.array as da

        config = self.problem.config("direct")
        path = f"{self.folder.name}/dask.zarr"
        self.calculator(config).influences().to_zarr(path)
        self.same(da.from_zarr(path), self.problem.expected(config))

    def test_workers_write_the_output_of_one_run(self) -> None:
        for method in ("direct", "cg", "ekfac", "sweep"):
            config, output = self.problem.config(method), f"{self.folder.name}/{method}-ours.zarr"
            expected = self.problem.expected(config)
            with self.calculator(config) as calculator:
                self.same(calculator.to_zarr(output), expected)
                self.assertEqual(tree(output), tree(self.problem.output(config)))
                # What is there is not computed again, and stays.
                calculator.to_zarr(output)
                self.assertEqual(tree(output), tree(self.problem.output(config)))
        config = self.problem.config("cg")
        with self.calculator(config, settings=["method.damping=1"]) as other:
            with self.assertRaisesRegex(InfluenceError, "was written with damping"):
                other.to_zarr(f"{self.folder.name}/cg-ours.zarr")
            other.to_zarr(f"{self.folder.name}/cg-ours.zarr", overwrite=True)
        with self.calculator(config) as calculator:
            own = calculator.to_zarr(f"{self.folder.name}/own.zarr", quantity="self-influences")
            self.same(own, self.problem.expected(config, "self"))

    def test_an_output_survives_the_loss_of_a_worker(self) -> None:
        config = slow_config()
        calculator = self.calculator(config, panels=22)
        with ThreadPoolExecutor() as pool, tempfile.TemporaryDirectory() as folder:
            stored = pool.submit(calculator.to_zarr, f"{folder}/x.zarr")
            self.kill_worker(wait_for(lambda: working(self.client, "write")))
            self.same(stored.result(), slow.expected(config))
            self.assertEqual(tree(f"{folder}/x.zarr"), tree(slow.output(config)))

    def test_a_fit_is_kept_and_read(self) -> None:
        config, fitted = self.problem.config("ekfac"), Path(self.folder.name, "fit.safetensors")
        calculator = self.calculator(config, fitted=str(fitted)).fit()
        self.assertTrue(fitted.exists())
        processes = self.started(config)
        self.assertGreaterEqual(len(processes), 2)
        self.same(calculator.influences(), self.problem.expected(config))
        # They stay.
        self.assertEqual(self.started(config), processes)

    def test_a_fit_by_shares_has_the_bytes_of_one_process(self) -> None:
        for method in ("direct", "ekfac", "arnoldi"):
            config = large.config(method, train_chunk=1000)
            fitted = large.folder / f"{method}-shares.safetensors"
            with self.calculator(config, fitted=str(fitted)) as calculator:
                rounds = recorded(calculator)
                calculator.fit()
                self.assertEqual(fitted.read_bytes(), large.fit(config), method)
                self.assertFalse(Path(f"{fitted}.shares").exists())
                shares = {order["share"] for orders, _ in rounds for order in orders}
                self.assertEqual(shares, {"0/2", "1/2"})
                for answer in (it for _, answers in rounds for it in answers):
                    said = answer.get("waiting", "")
                    self.assertNotEqual(answer["done"], "waits for other shares" in said)
                # It is there: nothing is done again.
                rounds.clear()
                calculator.fit()
                self.assertEqual(len(rounds), 1)
                self.same(calculator.influences(), large.expected(config))

    def test_a_fit_survives_the_loss_of_workers_and_of_processes(self) -> None:
        config = large.config("long", train_chunk=1000)
        for index, kill in enumerate((self.kill_worker, self.kill_child)):
            fitted = large.folder / f"long-{index}.safetensors"
            sums, kills = Path(f"{fitted}.shares"), 0
            with self.calculator(config, fitted=str(fitted)) as calculator:
                with ThreadPoolExecutor() as pool:
                    fit = pool.submit(calculator.fit)
                    for passes in (2, 5, 8):
                        wait_for(lambda: fit.done() or len(listed(sums)) > passes)
                        worker = wait_for(
                            lambda: fit.done() or working(self.client, "fit", "long")
                        )
                        if not fit.done():
                            kill(worker)
                            kills += 1
                    fit.result()
                self.assertGreater(kills, 0, "the fit takes longer")
                self.assertEqual(fitted.read_bytes(), large.fit(config))
                self.assertFalse(sums.exists())
            self.wait_for_workers()

    def test_a_fit_that_cannot_be_kept_is_refused(self) -> None:
        config = self.problem.config("direct")
        calculator = self.calculator(config, fitted=f"{self.folder.name}/none/fit")
        with self.assertRaisesRegex(InfluenceError, "the folder .* does not exist") as caught:
            calculator.fit()
        self.assertEqual(caught.exception.kind, "input")

    def test_axes_have_names(self) -> None:
        calculator = self.calculator(self.problem.config("sweep"))
        self.assertEqual(calculator.dimensions(), ["test", "train", "damping"])
        self.assertEqual(calculator.labels(), {"damping": ["0.1", "1"]})

    def test_an_error_of_the_run_is_raised_at_once(self) -> None:
        config = self.problem.config("cg")
        with self.assertRaisesRegex(InfluenceError, "dampin: unknown key") as caught:
            self.calculator(config, settings=["method.dampin=1"]).influences()
        self.assertEqual(caught.exception.kind, "input")
        hard = ["method.max_iterations=1", "method.rtol=1e-12"]
        influences = self.calculator(config, settings=hard).influences()
        with self.assertRaisesRegex(InfluenceError, "not solved") as caught:
            influences.compute()
        self.assertEqual(caught.exception.kind, "unsolved")

    def test_a_program_that_is_not_there_is_named(self) -> None:
        calculator = DaskInfluenceCalculator("x.toml", self.client, "no-such-program", retries=0)
        with self.assertRaisesRegex(FileNotFoundError, "no-such-program"):
            calculator.fit()

    def test_a_lost_process_is_started_again(self) -> None:
        config = slow_config()
        future = self.client.compute(self.calculator(config).influences())
        self.kill_child_in_work()
        self.same(future.result(), slow.expected(config))

    def test_without_retries_a_lost_process_fails_its_panel(self) -> None:
        config = slow_config()
        future = self.client.compute(self.calculator(config, retries=0).influences())
        self.kill_child_in_work()
        with self.assertRaises(ProcessLost):
            future.result()

    def test_a_lost_worker_is_made_up_for(self) -> None:
        config = slow_config()
        future = self.client.compute(self.calculator(config).influences())
        worker = wait_for(lambda: working(self.client))
        child = self.children("slow")[worker][0]
        self.kill_worker(worker)
        self.same(future.result(), slow.expected(config))
        # Its process ended with it.
        wait_for(lambda: not is_there(child))

    def kill_child_in_work(self) -> None:
        self.kill_child(wait_for(lambda: working(self.client)), "slow")

    def kill_child(self, worker: str, config: str = "long") -> None:
        """Kills the process that a worker has; it may be gone."""
        found = self.client.run(children, config, workers=[worker], on_error="ignore")
        for pid in found.get(worker, []):
            kill(pid)

    def kill_worker(self, worker: str) -> None:
        """Kills a worker; another takes its place."""
        # Dask never replaces a worker that ends while it still takes it for one that starts.
        nannies = self.cluster.workers.values()
        wait_for(lambda: all(nanny.status == Status.running for nanny in nannies))
        pids = self.client.run(os.getpid, workers=[worker], on_error="ignore")
        for pid in pids.values():
            kill(pid)


class Processes(unittest.TestCase):
    """Programs that are not ours, in place of it."""

    def resident(self, answers: str) -> resident.Resident:
        """The process of a program that answers an ``order`` by these lines of Python."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        program = Path(folder.name, "program")
        program.write_text(
            f"#!{sys.executable}\nimport json, sys, time\n"
            f"for line in sys.stdin:\n    order = json.loads(line)\n    {answers}\n"
        )
        program.chmod(0o755)
        process = resident.Resident(resident.Settings("x.toml", str(program)))
        self.addCleanup(process.close)
        return process

    def test_an_interrupted_order_leaves_no_answer_to_the_next(self) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        slow = self.resident("time.sleep(1); print(json.dumps({'ok': order}), flush=True)")
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with self.assertRaises(KeyboardInterrupt):
            slow.order({"order": "first"})
        self.assertEqual(slow.order({"order": "second"}), {"order": "second"})

    def test_what_a_model_prints_is_not_taken_for_an_answer(self) -> None:
        for printed in ("loss 0.5", "0.5"):
            with self.assertRaisesRegex(InfluenceError, f"'{printed}'.* print to stderr"):
                self.resident(f"print('{printed}', flush=True)").order({"order": "ping"})


class Clusters(unittest.TestCase):
    """Clusters of their own."""

    def test_several_threads_are_refused(self) -> None:
        with cluster(1, threads=2) as several, Client(several) as client:
            with self.assertRaisesRegex(ThreadSafetyViolationError, "threads_per_worker=1"):
                DaskInfluenceCalculator("x.toml", client)
        for other in (object, "client", DisableClientSingleThreadCheck()):
            with self.assertRaisesRegex(ValueError, "'client' parameter"):
                DaskInfluenceCalculator("x.toml", other)

    def test_workers_may_go_while_it_computes(self) -> None:
        config = slow_config()
        with cluster(4) as shrinking, Client(shrinking) as client:
            influences = DaskInfluenceCalculator(config, client, BINARY).influences()
            future = client.compute(influences)
            wait_for(lambda: working(client))
            shrinking.scale(2)
            got = future.result()
            self.assertEqual(len(client.nthreads()), 2)
        self.assertEqual(got.tobytes(), slow.expected(config).tobytes())

    def test_a_lost_driver_leaves_nothing_behind_and_starts_again(self) -> None:
        config, driver = slow_config(), Path(__file__).with_name("driver.py")
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(driver), BINARY, config, f"{folder}/stored.zarr"]
            first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            pids = [int(pid) for pid in first.stdout.readline().split()]
            self.assertTrue(pids and all(is_there(pid) for pid in pids))
            first.kill()
            first.wait()
            first.stdout.close()
            wait_for(lambda: not any(is_there(pid) for pid in pids))
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            self.assertEqual(tree(f"{folder}/stored.zarr"), tree(slow.output(config)))

    def test_any_scheduler_computes_where_the_check_is_off(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            problem = Problem(folder)
            config = problem.config("direct")
            with self.assertLogs("influence_dask", "WARNING"):
                calculator = DaskInfluenceCalculator(
                    config, DisableClientSingleThreadCheck, BINARY
                )
            got = calculator.influences().compute(scheduler="threads")
            self.assertEqual(got.tobytes(), problem.expected(config).tobytes())
            for it in list(resident._residents.values()):
                it.close()


if __name__ == "__main__":
    unittest.main()
