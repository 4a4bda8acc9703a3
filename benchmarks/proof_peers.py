"""What does rigour cost, against other libraries of enclosures: time, width, and values missed?

Matrix products, linear systems and tanh against python-flint (Arb), crival and crlin; enclosures of
functions against immrax, which does not round outward; then Hopf points proved per second.
immrax runs in its own process: IMMRAX_PYTHON names the interpreter of an environment that has it.
"""

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import _measure
import flint
import jax
import jax.numpy as jnp
import numpy as np
from _immrax_peer import BIAS, FUNCTIONS, IN, INPUTS, OUT, network
from flint import arb, arb_mat

from limitset.networks import RateFamily, RateNetwork, shift_family
from limitset.proofs import Ball, HopfPoint, enclose, jacobian, prove_hopf, tanh, verified_solve

HAS_CRIVAL = importlib.util.find_spec("ival") is not None
HAS_CRLIN = importlib.util.find_spec("crlin") is not None
PEER = Path(__file__).with_name("_immrax_peer.py")
UNIT = 2.0**-53
BOX_RADII = (0.0, 1e-15, 1e-3)
# Seconds for one thousand Hopf points of 10 units on two processes.
THOUSAND = 20.0

Task = Callable[[], Any]
Timings = dict[str, dict[str, Any]]


def show(title: str, records: Timings) -> Timings:
    """One line for each library: time, and the ratio to ours."""
    ours = records["limitset"]["median_s"]
    for name, record in records.items():
        extra = ", ".join(f"{k} {record[k]:.6g}" for k in ("width", "missed") if k in record)
        line = f"{title:24} {name:14} {record['median_s']:.4g} s  x{record['median_s'] / ours:.3g}"
        print(f"{line}  {extra}", flush=True)
    return records


def flint_matrix(mid: np.ndarray, rad: np.ndarray | None = None) -> arb_mat:
    columns = 1 if mid.ndim == 1 else mid.shape[1]
    if rad is None:
        return arb_mat(len(mid), columns, mid.ravel().tolist())
    pairs = zip(mid.ravel().tolist(), rad.ravel().tolist(), strict=True)
    return arb_mat(len(mid), columns, [arb(m, r) for m, r in pairs])


def flint_radii(matrix: arb_mat) -> np.ndarray:
    return np.array([float(entry.rad()) for entry in matrix.entries()])


def column_products(A: Any, B: Any, n: int) -> Any:
    """The product of two matrices of intervals that have no product of their own."""
    total = A[:, :1] * B[:1]
    for k in range(1, n):
        total = total + A[:, k : k + 1] * B[k : k + 1]
    return total


def measure_products(n: int, radius: float, repeats: int) -> Timings:
    """Square matrices; `width` is the median radius over `|A||B|`, in roundoffs."""
    rng = np.random.default_rng(n)
    A, B = rng.standard_normal((n, n)), rng.standard_normal((n, n))
    scale = (np.abs(A) @ np.abs(B)).ravel() * UNIT
    spread = [np.abs(M) * radius for M in (A, B)]
    balls = Ball(A, spread[0]), Ball(B, spread[1])
    flints = flint_matrix(A, spread[0]), flint_matrix(B, spread[1])
    tasks: dict[str, Task] = {
        "limitset": lambda: balls[0] @ balls[1],
        "python-flint": lambda: flints[0] * flints[1],
        "NumPy, unverified": lambda: A @ B,
    }
    widths = {
        "limitset": (balls[0] @ balls[1]).rad.ravel(),
        "python-flint": flint_radii(flints[0] * flints[1]),
    }
    if HAS_CRIVAL:
        import ival

        ends = [ival.Interval(M - r, M + r) for M, r in zip((A, B), spread, strict=True)]
        tasks["crival"] = lambda: column_products(*ends, n)
        widths["crival"] = column_products(*ends, n).rad.ravel()
    timings = _measure.interleave(tasks, repeats=repeats)
    records = {name: timing.record() for name, timing in timings.items()}
    for name, rad in widths.items():
        records[name]["width"] = float(np.median(rad / scale))
    return show(f"product {n}, radius {radius:g}", records)


def measure_solutions(n: int, repeats: int) -> Timings:
    """One right side; `width` is the median radius over the median `|x|`, in roundoffs."""
    rng = np.random.default_rng(n + 1)
    A, b = rng.standard_normal((n, n)), rng.standard_normal(n)
    exact = Ball.exact(A), Ball.exact(b)
    flints = flint_matrix(A), flint_matrix(b)
    scale = float(np.median(np.abs(np.linalg.solve(A, b)))) * UNIT
    tasks: dict[str, Task] = {
        "limitset": lambda: verified_solve(*exact),
        "python-flint": lambda: flints[0].solve(flints[1]),
        "NumPy, unverified": lambda: np.linalg.solve(A, b),
    }
    widths = {
        "limitset": verified_solve(*exact).rad,
        "python-flint": flint_radii(flints[0].solve(flints[1])),
    }
    if HAS_CRLIN:
        import crlin

        tasks["crlin"] = lambda: crlin.solve(A, b)
        lo, hi = crlin.solve(A, b)
        widths["crlin"] = (hi - lo) / 2
    timings = _measure.interleave(tasks, repeats=repeats)
    records = {name: timing.record() for name, timing in timings.items()}
    for name, rad in widths.items():
        records[name]["width"] = float(np.median(rad)) / scale
    return show(f"solve {n}", records)


def measure_tanh(count: int, repeats: int) -> Timings:
    """Single numbers in [-8, 8]; `width` is the median radius over `|tanh|`, in roundoffs."""
    x = np.random.default_rng(8).uniform(-8, 8, count)
    points, exact = Ball.exact(x), [arb(v) for v in x.tolist()]
    tasks: dict[str, Task] = {
        "limitset": lambda: tanh(points),
        "python-flint": lambda: [v.tanh() for v in exact],
        "NumPy, unverified": lambda: np.tanh(x),
    }
    widths = {
        "limitset": tanh(points).rad,
        "python-flint": np.array([float(v.tanh().rad()) for v in exact]),
    }
    if HAS_CRIVAL:
        import ival

        intervals = ival.Interval(x, x)
        tasks["crival"] = lambda: ival.tanh(intervals)
        widths["crival"] = ival.tanh(intervals).rad
    timings = _measure.interleave(tasks, repeats=repeats)
    records = {name: timing.record() for name, timing in timings.items()}
    for name, rad in widths.items():
        records[name]["width"] = float(np.median(rad / np.abs(np.tanh(x)))) / UNIT
    return show(f"tanh of {count}", records)


# --- Enclosures of functions ---


def exact_values(function: str, points: np.ndarray) -> np.ndarray:
    """The function at float points (boxes, INPUTS) in 200-bit Arb, one row a box."""
    if function == "tanh":
        return np.array([[arb(v).tanh() for v in row] for row in points.tolist()])
    biases = flint_matrix(np.tile(BIAS, (len(points), 1)))
    inner = flint_matrix(points) * flint_matrix(IN.T) + biases
    if function == "network":
        hidden = arb_mat([[v.tanh() for v in row] for row in inner.tolist()])
        result = hidden * flint_matrix(OUT.T) - flint_matrix(points)
        return np.array(result.tolist(), dtype=object)
    slopes = arb_mat([[1 - v.tanh() * v.tanh() for v in row] for row in inner.tolist()])
    result = np.empty((len(points), INPUTS, INPUTS), dtype=object)
    for j in range(INPUTS):
        mixing = [
            [arb(p) * arb(q) for p in OUT[:, k].tolist()] for k, q in enumerate(IN[:, j].tolist())
        ]
        column = np.array((slopes * arb_mat(mixing)).tolist(), dtype=object)
        result[:, :, j] = column - (np.arange(INPUTS) == j)
    return result.reshape(len(points), -1)


def count_missed(lower: np.ndarray, upper: np.ndarray, values: list[np.ndarray]) -> int:
    """Boxes whose enclosure certainly misses one of the values at three members of the box."""
    outside = np.frompyfunc(lambda lo, hi, v: bool(v < lo) or bool(v > hi), 3, 1)
    lo, hi = lower.reshape(len(lower), -1), upper.reshape(len(upper), -1)
    missed = [outside(lo, hi, value).astype(bool).any(axis=1) for value in values]
    return int(np.any(missed, axis=0).sum())


def enclosed_by_immrax(boxes: dict[str, np.ndarray], repeats: int) -> dict[str, np.ndarray] | None:
    """The answers of the peer; None, with a word about it, where immrax is not found."""
    python = os.environ.get("IMMRAX_PYTHON", sys.executable)
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "boxes.npz", Path(folder) / "answers.npz"
        np.savez(given, **boxes)  # pyright: ignore[reportArgumentType]
        command = [python, str(PEER), str(given), str(found), str(repeats)]
        done = subprocess.run(
            command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True
        )
        if done.returncode != 0 and "No module named 'immrax'" in done.stderr:
            print("immrax is not installed: set IMMRAX_PYTHON; measuring without it")
            return None
        if done.returncode != 0:
            raise SystemExit(f"the process of immrax failed: {done.stderr[-2000:]}")
        with np.load(found) as answers:
            return dict(answers)


def measure_enclosures(count: int, repeats: int) -> dict[str, Timings]:
    """tanh, a network and its Jacobian over boxes: time, median width, and boxes that miss."""
    center = np.random.default_rng(9).standard_normal((count, INPUTS))
    boxes, balls = {}, {}
    for radius in BOX_RADII:
        lower, upper = center - radius, center + radius
        boxes |= {f"{radius:g} lower": lower, f"{radius:g} upper": upper}
        balls[radius] = Ball.from_bounds(lower, upper)
    answers = enclosed_by_immrax(boxes, repeats)
    own = {"tanh": jnp.tanh, "network": network, "jacobian": jacobian(network)}
    if answers is not None:
        print(f"immrax {answers['version']}")
    results: dict[str, Timings] = {}
    for function in FUNCTIONS:
        enclosed = enclose(jax.vmap(own[function]))
        for radius in BOX_RADII:
            key = f"{radius:g}"
            corners = boxes[f"{key} lower"], center, boxes[f"{key} upper"]
            with flint.ctx.workprec(200):
                values = [exact_values(function, points) for points in corners]
                ball = enclosed(balls[radius])
                timing = _measure.interleave(
                    {"limitset": lambda f=enclosed, x=balls[radius]: f(x)}, repeats=repeats
                )["limitset"]
                records = {"limitset": timing.record()}
                ends = {"limitset": (ball.lower(), ball.upper())}
                if answers is not None:
                    name = f"{function} {key}"
                    seconds = tuple(answers[f"{name} seconds"].tolist())
                    records["immrax"] = _measure.Timing(seconds, seconds).record()
                    records["immrax"]["version"] = str(answers["version"])
                    ends["immrax"] = answers[f"{name} lower"], answers[f"{name} upper"]
                for library, (lower, upper) in ends.items():
                    records[library]["width"] = float(np.median(upper - lower))
                    records[library]["missed"] = count_missed(lower, upper, values)
            results[f"{function}, radius {key}"] = show(f"{function}, radius {key}", records)
    return results


# --- Proofs per second ---


def biased_points(seed: int, size: int) -> tuple[RateFamily, list[tuple[Any, ...]]]:
    """A nearly skew network `x' = tanh((W + a I) x + b)`, and its points in closed form.

    They are proved as those of any field would be.
    """
    rng = np.random.default_rng(seed)
    R = rng.standard_normal((size, size))
    weight = R - R.T + 0.1 * rng.standard_normal((size, size))
    bias = rng.standard_normal(size)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate", leak=0.0)
    values, vectors = np.linalg.eig(weight)
    points = []
    for k in np.flatnonzero(np.imag(values) > 0):
        a, omega = -float(np.real(values[k])), float(np.imag(values[k]))
        state = -np.linalg.solve(weight + a * np.eye(size), bias)
        points.append((a, omega, state, vectors[:, k]))
    return shift_family(network), points


def prove_points(seed: int, size: int, count: int) -> int:
    """How many of the first `count` points of one network are proved."""
    family, points = biased_points(seed, size)
    return sum(isinstance(prove_hopf(family, *p), HopfPoint) for p in points[:count])


def measure_rate(size: int, repeats: int) -> dict[str, Any]:
    """One point of one network; programs have been traced before."""
    family, points = biased_points(size, size)
    timing = _measure.interleave(
        {"prove": lambda: prove_hopf(family, *points[0])}, repeats=repeats
    )["prove"]
    settled = isinstance(prove_hopf(family, *points[0]), HopfPoint)
    rate = 1 / timing.median
    print(f"Hopf points, N = {size:4}: {rate:.4g} per second  {timing}", flush=True)
    return {**timing.record(), "per_second": rate, "proved": settled}


def measure_many(count: int, size: int, processes: int) -> dict[str, Any]:
    """The points of many networks on a few processes, whose start counts."""
    shares: list[int] = []
    while sum(shares) < count:
        found = len(biased_points(len(shares), size)[1])
        shares.append(min(found, count - sum(shares)))
    begun = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as executor:
        tasks = range(len(shares)), [size] * len(shares), shares
        proved = sum(executor.map(prove_points, *tasks, chunksize=5))
    seconds = time.perf_counter() - begun
    target = THOUSAND * count / 1000
    line = f"{count} points, N = {size}, {processes} processes: {proved} proved, {seconds:.4g} s"
    print(f"{line}  target {target:g} s: {_measure.verdict(seconds < target)}", flush=True)
    return {"tried": count, "proved": proved, "seconds": seconds, "target_s": target}


def main() -> None:
    """All of it, or tiny ones."""
    arguments = _measure.parse_arguments(__doc__)
    missing = [n for n, found in (("crival", HAS_CRIVAL), ("crlin", HAS_CRLIN)) if not found]
    for name in missing:
        print(f"{name} is not installed; measuring without it")
    quick = arguments.quick
    sizes, repeats = ((6,), 1) if quick else ((100, 400), 5)
    results = {
        "product": {
            f"{n}, radius {radius:g}": measure_products(n, radius, repeats)
            for n in sizes
            for radius in (0.0, 1e-12)
        },
        "solve": {str(n): measure_solutions(n, repeats) for n in sizes},
        "tanh": measure_tanh(100 if quick else 100_000, repeats),
        "enclosures": measure_enclosures(50 if quick else 10_000, repeats),
        "rate": {
            str(n): measure_rate(n, repeats) for n in ((4,) if quick else (5, 10, 20, 50, 100))
        },
        "many": measure_many(4 if quick else 1000, 10, 2),
        "peers": {name: version(name) for name in ("crival", "crlin") if name not in missing},
    }
    _measure.store("proof_peers", arguments, results)


if __name__ == "__main__":
    main()
