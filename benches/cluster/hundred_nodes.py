#!/usr/bin/env python3
"""What 100 nodes would take for 10 million training points: bytes, waves, requests, on paper.

Counts what shares of a fit and of scores read and write, by the rules of the program, and plays the
shares through on nodes that are lost now and then. Rules were measured on small runs (see COSTS);
the numbers of the cluster are assumptions. Needs Python alone: `python3 benches/cluster/hundred_nodes.py`.
"""

import heapq
import random
from dataclasses import dataclass, replace

GIGA = 1e9


@dataclass(frozen=True)
class Problem:
    """Images of 784 numbers, a perceptron of 784-512-10, EK-FAC, everything in 32 bits."""

    train: int = 10**7
    test: int = 10**4
    layers: tuple = ((785, 512), (513, 10))  # with the bias
    chunk: tuple = (512, 8192)  # 16 MiB

    @property
    def train_bytes(self):
        return self.train * (784 + 1) * 4

    @property
    def parameters(self):
        return sum(inputs * outputs for inputs, outputs in self.layers)

    @property
    def output_bytes(self):
        return self.test * self.train * 4

    @property
    def grid(self):
        return [-(-points // size) for points, size in zip((self.test, self.train), self.chunk)]

    @property
    def fit_bytes(self):
        """Eigenvectors and eigenvalues in 64 bits."""
        return 8 * sum(i * i + o * o + i * o for i, o in self.layers)

    def solving(self):
        """Operations to solve one test point: into the eigenbasis and back."""
        return sum(4 * (i * i * o + i * o * o) for i, o in self.layers)

    def scoring(self):
        """Operations of one score: gradients of linear maps are outer products."""
        return sum(2 * (i + o) for i, o in self.layers)


@dataclass(frozen=True)
class Cluster:
    """Assumptions: 16 cores and 10 Gbit/s for each node, a parallel file system behind them."""

    nodes: int = 100
    compute: float = 16 * 20 * GIGA  # operations a second, of a node
    link: float = 1.25 * GIGA  # bytes a second, of a node
    store: float = 10 * GIGA  # bytes a second, of the file system
    requests: float = 20_000  # metadata operations a second, of the file system
    loss: float = 1 / (30 * 86_400)  # nodes lost a second, of each
    checksums: float = 0.5 * GIGA  # bytes a second that one process decodes and checks


@dataclass(frozen=True)
class Costs:
    """What one process does, counted with strace: shares 0/10 and 0/20 of 100,000 training points,
    shares 0/2 and 0/4 of 540 chunks."""

    # All data are read by every share: their numbers are checked, the digest of the files and that
    # of the points are compared with the fit's.
    reads_of_train: float = 3.0
    requests_of_process: int = 950
    # Is it there (1), the file and its folder opened, synchronised and closed (6), renamed (1).
    requests_of_chunk: int = 8


LEAF = 2048  # samples of a leaf of a sum


def subtrees(first, last, leaves):
    """How many subtrees make up the leaves of a share: what it keeps of a pass."""

    def within(start, width):
        end = min(start + width, leaves)
        if end <= start or end <= first or last <= start:
            return 0
        if first <= start and end <= last:
            return 1
        return within(start, width // 2) + within(start + width // 2, width // 2)

    return within(0, 1 << (leaves - 1).bit_length())


def fit(problem, cluster, shares):
    """Bytes and requests of the two passes of EK-FAC, shared; each ends when all sums are there."""
    leaves = -(-problem.train // LEAF)
    bounds = [share * leaves // shares for share in range(shares + 1)]
    kept = sum(subtrees(first, last, leaves) for first, last in zip(bounds, bounds[1:]))
    covariances = 8 * sum(i * i + o * o for i, o in problem.layers)
    eigenvalues = 8 * problem.parameters
    read = 2 * problem.train_bytes
    written = kept * (covariances + eigenvalues)
    # Every share that finds all subtrees adds them up, and may do so at the same time as others.
    replayed = shares * written
    seconds = 2 * problem.train * 6 * problem.parameters / cluster.nodes / cluster.compute
    return {
        "waves": 2,
        "subtrees": 2 * kept,
        "bytes": read + written + replayed,
        "replayed": replayed,
        "requests": 2 * (kept * 4 + shares * kept),
        "compute": seconds,
        "store": (read + written + replayed) / cluster.store,
    }


def share_seconds(problem, cluster, costs, shares):
    """The seconds of one share while all nodes are busy, by what they go into."""
    busy = min(cluster.nodes, shares)
    bandwidth = min(cluster.link, cluster.store / busy)
    chunks = problem.grid[0] * problem.grid[1] / shares
    requests = costs.requests_of_process + chunks * costs.requests_of_chunk
    columns = problem.train / shares
    return {
        "reading all training data": costs.reads_of_train * problem.train_bytes / bandwidth,
        "solving all test points": problem.test * problem.solving() / cluster.compute,
        "gradients of its points": columns * 6 * problem.parameters / cluster.compute,
        "scores": problem.test * columns * problem.scoring() / cluster.compute,
        "writing its chunks": problem.output_bytes / shares / bandwidth,
        "requests": requests * busy / cluster.requests,
    }


def played(problem, cluster, costs, shares, seed=0):
    """Plays the shares through: seconds until the last has ended, and how many were lost."""
    drawn = random.Random(seed)
    mean = sum(share_seconds(problem, cluster, costs, shares).values())
    waiting, lost, starts, end = list(range(shares)), 0, 0, 0.0
    free = [(0.0, node) for node in range(cluster.nodes)]
    heapq.heapify(free)
    while waiting:
        share = waiting.pop(0)
        now, node = heapq.heappop(free)
        starts += 1
        lasts = mean * drawn.lognormvariate(0, 0.1)
        fails = drawn.expovariate(cluster.loss)
        if fails < lasts:
            # The scheduler notices after a minute; what was written stays.
            lost += 1
            waiting.append(share)
            lasts = fails + 60
        else:
            end = max(end, now + lasts)
        heapq.heappush(free, (now + lasts, node))
    return end, lost, starts


def print_plan(problem, cluster, costs, shares):
    rows, columns = problem.grid
    print(f"{shares} shares on {cluster.nodes} nodes, {-(-shares // cluster.nodes)} wave(s)")
    of_fit = fit(problem, cluster, cluster.nodes)
    print(
        f"  fit       {of_fit['waves']} passes, {of_fit['subtrees']:,} sums kept, "
        f"{of_fit['bytes'] / GIGA:,.0f} GB through the store, {of_fit['requests']:,} requests; "
        f"{of_fit['compute']:,.0f} s computing, {of_fit['store']:,.0f} s of the store"
    )
    declaring = costs.reads_of_train * problem.train_bytes / cluster.link
    print(f"  declare   checks the data: {declaring:,.0f} s")
    times = share_seconds(problem, cluster, costs, shares)
    for what, seconds in sorted(times.items(), key=lambda item: -item[1]):
        print(f"  a share   {seconds:8.1f} s  {what}")
    end, lost, starts = played(problem, cluster, costs, shares)
    own = problem.train_bytes / shares
    read = starts * (costs.reads_of_train * problem.train_bytes + own + problem.fit_bytes)
    requests = starts * costs.requests_of_process + rows * columns * costs.requests_of_chunk
    print(f"  all       {end:,.0f} s, {starts} starts, {lost} lost with their node")
    written = f"{problem.output_bytes / GIGA:,.0f} GB written in {rows * columns:,} chunks"
    print(f"            {read / GIGA:,.0f} GB read, {written}, {requests:,} requests")
    checked = problem.output_bytes / min(cluster.link, cluster.checksums)
    print(f"  finish    reads and checks all chunks in one process: {checked:,.0f} s")


def main():
    problem, cluster, costs = Problem(), Cluster(), Costs()
    print(f"{problem.train:,} training points of {problem.train_bytes / GIGA:.1f} GB, ", end="")
    print(f"{problem.test:,} test points, {problem.parameters:,} parameters, ", end="")
    print(f"{problem.output_bytes / GIGA:.0f} GB of influences")
    for shares in (100, 400):
        print_plan(problem, cluster, costs, shares)
    sampled = replace(costs, reads_of_train=0.0)
    print("if shares looked at the size and a sample of the data in place of all of it:")
    print_plan(problem, cluster, sampled, 400)


if __name__ == "__main__":
    main()
