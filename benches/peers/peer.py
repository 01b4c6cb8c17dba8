"""Runs one peer library on one workload with one method and prints one line of JSON.

    python peer.py LIBRARY WORKLOAD METHOD --data FOLDER [--out scores.npy] [--check] ...

Every method gives scores[i, j] = <(C + λI)⁻¹ g(test i), g(train j)> in float32, where g is the
gradient of the cross-entropy of one sample, C the mean curvature over the train samples (the
identity with λ = 0 for `dot`) and λ the `--damping`. No minus sign, no division by the number of
samples. A positive score means that the train sample helps the test sample.
"""

import argparse
import importlib
import importlib.metadata
import json
import logging
import math
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch.func import functional_call, grad, jacrev, jvp, vmap
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import models

METHODS = {
    "pydvl": ["direct", "cg", "arnoldi", "nystroem", "lissa", "kfac", "ekfac"],
    "kronfluence": ["dot", "kfac", "ekfac"],
    "dattri": ["dot", "direct", "cg", "arnoldi", "lissa", "ekfac"],
    "curvlinops": ["cg", "kfac", "ekfac"],
    "trak": ["ekfac"],
}
MODULES = {
    "pydvl": ["pydvl.influence.torch"],
    "kronfluence": ["kronfluence.analyzer", "kronfluence.arguments", "kronfluence.task"],
    "dattri": ["dattri.task", "dattri.algorithm"],
    "curvlinops": ["curvlinops"],
    "trak": ["trak"],
}
# Where the name of the distribution is another than that of the library.
DISTRIBUTIONS = {"curvlinops": "curvlinops-for-pytorch", "trak": "traker"}


def peak_mb():
    """The most memory that this process held so far, in MB of 10⁶ bytes (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def warm_up():
    """Loads what torch imports on the first use of its function transforms (a second or so)."""
    def square(x):
        return (x**2).sum()

    points = torch.ones(2, 2)
    vmap(grad(square))(points)
    jvp(grad(square), (points,), (points,))
    torch.linalg.eigh(torch.eye(64))


def loader(data, batch):
    return DataLoader(TensorDataset(*data), batch_size=batch or len(data[0]))


def run_pydvl(args, model, train, test):
    """pyDVL: test factors first, then their products with the train gradients."""
    from pydvl.influence import torch as pydvl

    loss, damping, iterations = F.cross_entropy, args.damping, {}
    if args.maxiter:
        iterations["maxiter"] = args.maxiter
    if args.method == "direct":
        influence = pydvl.DirectInfluence(model, loss, damping)
    elif args.method == "cg":
        # pyDVL stops at |r| < rtol² |b|, hence the root.
        influence = pydvl.CgInfluence(model, loss, damping, rtol=math.sqrt(args.rtol),
                                      solve_simultaneously=True, **iterations)
    elif args.method == "arnoldi":
        # Without `use_woodbury` the part outside the subspace is dropped.
        influence = pydvl.ArnoldiInfluence(model, loss, damping, rank=args.rank,
                                           use_woodbury=True)
    elif args.method == "nystroem":
        influence = pydvl.NystroemSketchInfluence(model, loss, damping, rank=args.rank)
    elif args.method == "lissa":
        influence = pydvl.LissaInfluence(model, loss, damping, scale=args.scale, rtol=args.rtol,
                                         **iterations)
    else:
        update = args.method == "ekfac"
        influence = pydvl.EkfacInfluence(model, update_diagonal=update,
                                         hessian_regularization=damping)

    start = time.perf_counter()
    # The Hessian operator weighs batches equally, so uneven batches would bias it.
    influence = influence.fit(loader(train, args.fit_batch))
    fitted = time.perf_counter()
    batches = loader(test, args.test_batch)
    factors = torch.cat([influence.influence_factors(x, y) for x, y in batches])
    parts = [influence.influences_from_factors(factors, x, y)
             for x, y in loader(train, args.batch)]
    scores = torch.cat(parts, dim=1)
    return fitted - start, time.perf_counter() - fitted, scores


def run_kronfluence(args, model, train, test):
    """kronfluence: linear and convolutional layers, true Fisher with sampled labels."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        """Cross-entropy, summed over the batch as the per-sample gradients need it."""

        def compute_train_loss(self, batch, model, sample=False):
            logits, labels = model(batch[0]), batch[1]
            if sample:
                probabilities = torch.softmax(logits.detach(), dim=1)
                labels = torch.multinomial(probabilities, 1).flatten()
            return F.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

    strategy = "identity" if args.method == "dot" else args.method
    task = Classification()
    model = prepare_model(model, task)
    train, test = TensorDataset(*train), TensorDataset(*test)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer("peer", model, task, cpu=args.device == "cpu", log_level=logging.ERROR,
                            disable_tqdm=True, output_dir=folder)
        start = time.perf_counter()
        analyzer.fit_all_factors("factors", train,
                                 per_device_batch_size=args.fit_batch or len(train),
                                 factor_args=FactorArguments(strategy=strategy))
        fitted = time.perf_counter()
        analyzer.compute_pairwise_scores(
            "scores", "factors", test, train,
            per_device_query_batch_size=args.test_batch or len(test),
            per_device_train_batch_size=args.batch or len(train),
            score_args=ScoreArguments(damping_factor=args.damping))
        scores = analyzer.load_pairwise_scores("scores")["all_modules"]
        return fitted - start, time.perf_counter() - fitted, scores


def run_dattri(args, model, train, test):
    """dattri: one batch of each set, because it sums the inverses of single batches."""
    from dattri import algorithm
    from dattri.task import AttributionTask

    def loss(parameters, data):
        x, y = data
        logits = functional_call(model, parameters, (x,))
        # LiSSA hands the labels over as floats, TracIn without a batch dimension.
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1).long())

    task = AttributionTask(loss, model, model.state_dict())
    if args.method == "dot":
        attributor = algorithm.TracInAttributor(task, [1.0], normalized_grad=False)
        attributor.projector_kwargs = None
    elif args.method == "direct":
        attributor = algorithm.IFAttributorExplicit(task, regularization=args.damping)
    elif args.method == "cg":
        # It ignores its tolerance: always `max_iter` steps, NaN once the residual is zero.
        attributor = algorithm.IFAttributorCG(task, max_iter=args.maxiter or 50,
                                              regularization=args.damping)
    elif args.method == "arnoldi":
        attributor = algorithm.IFAttributorArnoldi(task, proj_dim=args.rank,
                                                   max_iter=args.maxiter or 100,
                                                   regularization=args.damping)
    elif args.method == "lissa":
        # Its damping is added to C / scaling.
        attributor = algorithm.IFAttributorLiSSA(
            task, batch_size=args.fit_batch or len(train[0]), scaling=args.scale,
            recursion_depth=args.maxiter or 1000, damping=args.damping / args.scale)
    else:
        attributor = algorithm.IFAttributorEKFAC(task, damping=args.damping)

    whole, queries = loader(train, 0), loader(test, 0)
    start = time.perf_counter()
    if args.method != "dot":
        attributor.cache(whole)
    fitted = time.perf_counter()
    scores = attributor.attribute(whole, queries).T
    return fitted - start, time.perf_counter() - fitted, scores


def mean_loss(model, state, x, y):
    """The mean cross-entropy of a batch as a function of parameters by name."""
    return F.cross_entropy(functional_call(model, state, (x,)), y)


def per_sample_gradients(model, state, x, y):
    """One row for each sample, over the parameters of the state in their order."""
    def single(state, x, y):
        return mean_loss(model, state, x[None], y[None])

    gradients = vmap(grad(single), in_dims=(None, 0, 0))(state, x, y)
    return torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)


def run_curvlinops(args, model, train, test):
    """curvlinops: it has the inverse curvature, gradients and products are those of torch."""
    import curvlinops
    from curvlinops.examples import IdentityLinearOperator

    parameters = [value for value in model.parameters() if value.requires_grad]
    loss, batches = torch.nn.CrossEntropyLoss(), list(loader(train, args.fit_batch))
    start = time.perf_counter()
    if args.method == "cg":
        curvature = curvlinops.HessianLinearOperator(model, loss, parameters, batches,
                                                     check_deterministic=False)
        shapes = [value.shape for value in parameters]
        identity = IdentityLinearOperator(shapes, torch.device("cpu"), torch.float32)
        iterations = {"max_iter": args.maxiter} if args.maxiter else {}
        inverse = curvlinops.CGInverseLinearOperator(curvature + args.damping * identity,
                                                     tolerance=args.rtol, **iterations)
    else:
        kinds = {"kfac": curvlinops.KFACLinearOperator, "ekfac": curvlinops.EKFACLinearOperator}
        curvature = kinds[args.method](model, loss, parameters, batches, check_deterministic=False,
                                       separate_weight_and_bias=False)
        inverse = curvlinops.KFACInverseLinearOperator(curvature, damping=args.damping,
                                                       use_exact_damping=True)
    fitted = time.perf_counter()
    state = {key: value.detach() for key, value in model.named_parameters()}
    factors = inverse @ per_sample_gradients(model, state, *test).T
    parts = [factors.T @ per_sample_gradients(model, state, x, y).T
             for x, y in loader(train, args.batch)]
    return fitted - start, time.perf_counter() - fitted, torch.cat(parts, dim=1)


def run_trak(args, model, train, test):
    """TRAK: an estimate of its own, of random projections of gradients of the margin."""
    from trak import TRAKer

    def batches(data):
        return [{"batch": batch, "num_samples": len(batch[0])} for batch in loader(data, args.batch)]

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        trak = TRAKer(model, "image_classification", len(train[0]), save_dir=folder, device="cpu",
                      proj_dim=args.projection, use_half_precision=False,
                      logging_level=logging.ERROR)
        trak.load_checkpoint(model.state_dict(), model_id=0)
        for batch in batches(train):
            trak.featurize(**batch)
        trak.finalize_features()
        fitted = time.perf_counter()
        trak.start_scoring_checkpoint("peer", model.state_dict(), 0, num_targets=len(test[0]))
        for batch in batches(test):
            trak.score(**batch)
        scores = torch.from_numpy(np.array(trak.finalize_scores("peer"))).T
        return fitted - start, time.perf_counter() - fitted, scores


RUNNERS = {"pydvl": run_pydvl, "kronfluence": run_kronfluence, "dattri": run_dattri,
           "curvlinops": run_curvlinops, "trak": run_trak}


def reference(args, model, train, test):
    """The scores of `dot`, and for all other methods those of the dense mean Hessian."""
    state = {key: value.detach() for key, value in model.named_parameters()}
    if args.library == "kronfluence":
        # Only linear and convolutional layers have scores there.
        layers = (torch.nn.Linear, torch.nn.Conv2d)
        seen = {name for name, module in model.named_modules() if isinstance(module, layers)}
        state = {key: value for key, value in state.items() if key.rpartition(".")[0] in seen}
    left, right = (per_sample_gradients(model, state, *data) for data in (test, train))
    if args.method == "dot":
        return left @ right.T
    sizes = [value.numel() for value in state.values()]
    flat = torch.cat([value.flatten() for value in state.values()])
    if len(flat) > 20_000:
        sys.exit("--check needs a dense Hessian: at most 20,000 parameters")

    def loss(theta, x, y):
        parts = zip(state.items(), theta.split(sizes))
        weights = {key: part.view(value.shape) for (key, value), part in parts}
        return mean_loss(model, weights, x, y)

    hessian = jacrev(grad(loss), chunk_size=256)(flat, *train)
    hessian.diagonal().add_(args.damping)
    precise = torch.float64 if len(flat) < 5_000 else torch.float32
    solved = torch.linalg.solve(hessian.to(precise), left.T.to(precise))
    return solved.T.to(left.dtype) @ right.T


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=METHODS)
    parser.add_argument("workload", choices=models.BUILDERS)
    parser.add_argument("method", choices=sorted(set(sum(METHODS.values(), []))))
    parser.add_argument("--data", required=True, help="folder of W1, W2, ...")
    parser.add_argument("--out", help="file for the scores, float32 (test, train)")
    parser.add_argument("--train", type=int, help="use only the first N train samples")
    parser.add_argument("--test", type=int, help="use only the first K test samples")
    parser.add_argument("--damping", type=float, default=0.01, help="λ, added to the mean")
    parser.add_argument("--rank", type=int, default=10, help="of Arnoldi and Nyström")
    parser.add_argument("--projection", type=int, default=512,
                        help="dimensions of TRAK, fewer than there are points")
    parser.add_argument("--rtol", type=float, default=1e-4, help="of CG and LiSSA")
    parser.add_argument("--maxiter", type=int, help="of CG and LiSSA; default: the library's")
    parser.add_argument("--scale", type=float, default=10.0, help="of LiSSA")
    parser.add_argument("--batch", type=int, default=256, help="train batch of the scores")
    parser.add_argument("--test-batch", type=int, default=0, help="test batch; 0: all")
    parser.add_argument("--fit-batch", type=int,
                        help="train batch of the fit; 0: all (default: 256 for K-FAC, else all)")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda (kronfluence)")
    parser.add_argument("--repeat", type=int, default=1, help="how often; the last is timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="compare with a dense reference")
    args = parser.parse_args()
    if args.method not in METHODS[args.library]:
        parser.error(f"{args.library} has the methods {', '.join(METHODS[args.library])}")
    if args.device != "cpu" and args.library != "kronfluence":
        parser.error("only kronfluence is run on other devices than the CPU")
    if args.fit_batch is None:
        # Per-sample gradients of all samples at once would not fit into memory.
        args.fit_batch = 256 if args.method in ("kfac", "ekfac") else 0
    return args


def main():
    args = arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(2)
    # Convolutions in 32 bits, as products of matrices are.
    torch.backends.cudnn.allow_tf32 = False
    for name in MODULES[args.library]:
        importlib.import_module(name)
    warm_up()
    import_mb = peak_mb()

    folder = Path(args.data) / args.workload
    limits = {"train": args.train, "test": args.test}
    train, test = (
        tuple(torch.from_numpy(np.load(folder / f"{kind}_{part}.npy")[:count])
              for kind in "xy")
        for part, count in limits.items()
    )
    model = models.load(args.workload, args.data)
    # The first backward pass starts threads.
    F.cross_entropy(model(train[0][:8]), train[1][:8]).backward()
    model.zero_grad()

    for _ in range(args.repeat):
        # A library may have wrapped the layers of the one before.
        model = models.load(args.workload, args.data)
        torch.manual_seed(args.seed)
        np.random.seed(args.seed)
        fit_s, score_s, scores = RUNNERS[args.library](args, model, train, test)
    report = {
        "library": args.library,
        "device": args.device,
        "version": importlib.metadata.version(DISTRIBUTIONS.get(args.library, args.library)),
        "workload": args.workload,
        "method": args.method,
        "train": len(train[0]),
        "test": len(test[0]),
        "fit_s": round(fit_s, 4),
        "score_s": round(score_s, 4),
        "peak_mb": round(peak_mb(), 1),
        "import_mb": round(import_mb, 1),
    }
    scores = scores.detach().float()
    if args.out:
        np.save(args.out, scores.numpy())
    if args.check:
        expected = reference(args, models.load(args.workload, args.data), train, test)
        pair = torch.stack([scores.flatten(), expected.flatten()])
        report["error"] = float(f"{(scores - expected).norm() / expected.norm():.3g}")
        report["correlation"] = round(torch.corrcoef(pair)[0, 1].item(), 6)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
