"""How tight are upper bounds of operator norms, and what do they and block certificates cost?

Zero-padded convolutions and dense matrices, Gaussian weights. Ours: the verified bounds of
`proofs`, and Gram iteration, which training uses. Peers: the scale of almost orthogonal layers
(arXiv 2208.03160), the product of row and column sums, and power iteration, which is a lower bound
however it is used. The truth is the dense matrix's, where that is small.
"""

import time
from collections.abc import Callable
from typing import Any

import _measure
import jax
import jax.numpy as jnp
import numpy as np

from limitset.contraction import certify_block, random_convolution_block, random_dense_block
from limitset.networks import Convolution, dense_matrix
from limitset.proofs import Ball, convolution_norm_upper, gershgorin_norm_upper, two_norm_upper

POWER_STEPS = (1, 5, 20, 100)
TRUTH_UP_TO = 2500


def power_iteration(
    apply: Callable[[Any], Any], adjoint: Any, size: int, steps: int
) -> Callable[[], float]:
    """A lower bound of the norm, after so many products with the operator and its transpose."""

    @jax.jit
    def run(v: jax.Array) -> jax.Array:
        def step(v: jax.Array, _: None) -> tuple[jax.Array, None]:
            w = adjoint(apply(v / jnp.linalg.norm(v)))
            return w, None

        v = jax.lax.scan(step, v, None, length=steps)[0]
        return jnp.linalg.norm(apply(v / jnp.linalg.norm(v)))

    start = jax.random.normal(jax.random.key(0), (size,))
    run(start)
    return lambda: float(run(start))


def gram_iteration(matrix: np.ndarray, steps: int) -> float:
    """`|A^T A ...|_F^(1 / 2^steps)`, an upper bound in exact arithmetic (arXiv 2305.16173)."""
    log, G = 0.0, matrix
    for _ in range(steps):
        scale = np.linalg.norm(G)
        G = G / scale
        log = 2 * (log + np.log(scale))
        G = G.T @ G
    return float(np.exp((log + np.log(np.linalg.norm(G))) / 2**steps))


def almost_orthogonal(matrix: np.ndarray) -> float:
    """The norm bound `sqrt(max_i sum_j |A^T A|_ij)` behind almost orthogonal layers."""
    return float(np.sqrt(np.abs(matrix.T @ matrix).sum(1).max()))


def row_and_column_sums(matrix: np.ndarray) -> float:
    """`sqrt(|A|_1 |A|_inf)`."""
    sums = np.abs(matrix)
    return float(np.sqrt(sums.sum(0).max() * sums.sum(1).max()))


def timed(task: Callable[[], float]) -> tuple[float, float]:
    """The value, and the least of three times: bounds here take microseconds to seconds."""
    taken, value = [], 0.0
    for _ in range(3):
        begun = time.perf_counter()
        value = task()
        taken.append(time.perf_counter() - begun)
    return value, min(taken)


def measure(
    name: str, tasks: dict[str, Callable[[], float]], truth: float | None
) -> dict[str, Any]:
    """Print and return each bound, over the truth where that is known."""
    record: dict[str, Any] = {} if truth is None else {"truth": truth}
    reference, _ = (truth, 0) if truth is not None else timed(tasks["ours, verified"])
    for task, run in tasks.items():
        value, seconds = timed(run)
        record[task] = {"bound": value, "over_reference": value / reference, "seconds": seconds}
        against = "truth" if truth is not None else "ours"
        print(
            f"{name:24} {task:28} {value / reference:8.5f} of {against}, {seconds:.4g} s",
            flush=True,
        )
    return record


def dense(units: int) -> dict[str, Any]:
    """Bounds of a Gaussian matrix."""
    A = np.random.default_rng(units).standard_normal((units, units)) / units**0.5
    device = jnp.asarray(A)
    tasks: dict[str, Callable[[], float]] = {
        "ours, verified": lambda: two_norm_upper(Ball.exact(A)),
        "Gram iteration, 6": lambda: gram_iteration(A, 6),
        "almost orthogonal": lambda: almost_orthogonal(A),
        "row and column sums": lambda: row_and_column_sums(A),
    }
    for steps in POWER_STEPS:
        tasks[f"power iteration, {steps} (lower)"] = power_iteration(
            lambda v: device @ v, lambda v: v @ device, units, steps
        )
    return measure(f"dense {units}", tasks, float(np.linalg.norm(A, 2)))


def convolution(channels: int, side: int, size: int = 3) -> dict[str, Any]:
    """Bounds of a zero-padded Gaussian convolution."""
    taps = np.random.default_rng(channels).standard_normal((channels, channels, size, size))
    taps /= size * channels**0.5
    operator = Convolution(jnp.asarray(taps), side, side)
    grid = side + size - 1
    symbols = np.moveaxis(np.fft.fft2(taps, (grid, grid)), (0, 1), (-2, -1))
    n = operator.input_size
    matrix = np.asarray(dense_matrix(operator)) if n <= TRUTH_UP_TO else None
    tasks: dict[str, Callable[[], float]] = {
        "ours, verified": lambda: convolution_norm_upper(taps, side, side),
        "ours, Gershgorin, verified": lambda: gershgorin_norm_upper(taps, side, side),
        "grid of n + k - 1, float64": lambda: float(np.linalg.norm(symbols, 2, (-2, -1)).max()),
    }
    if matrix is not None:
        tasks["Gram iteration, 6"] = lambda: gram_iteration(matrix, 6)
        tasks["almost orthogonal"] = lambda: almost_orthogonal(matrix)
        tasks["row and column sums"] = lambda: row_and_column_sums(matrix)
    for steps in POWER_STEPS:
        tasks[f"power iteration, {steps} (lower)"] = power_iteration(
            operator, operator.adjoint, n, steps
        )
    truth = None if matrix is None else float(np.linalg.norm(matrix, 2))
    return measure(f"convolution {channels} x {side} x {side}", tasks, truth)


def certificates(quick: bool) -> dict[str, Any]:
    """Seconds of `certify_block`, for blocks whose input operator is as large as they are."""
    found: dict[str, Any] = {}
    for kind in ("projected", "spectral", "gradient"):
        for units in (8,) if quick else (64, 128, 256, 512, 1024):
            core = random_dense_block(jax.random.key(0), kind=kind, units=units, inputs=units)
            found[f"dense {kind} {units}"] = _certificate(core)
    shapes = ((2, 4),) if quick else ((8, 16), (16, 16), (16, 32), (32, 16))
    for kind in ("projected", "symmetric", "gradient"):
        for channels, side in shapes:
            core = random_convolution_block(
                jax.random.key(0),
                kind=kind,
                channels=channels,
                inputs=channels,
                height=side,
                width=side,
            )
            found[f"convolution {kind} {channels} x {side} x {side}"] = _certificate(core)
    for name, record in found.items():
        print(
            f"certify_block, {name:34} {record['seconds']:.4g} s, {record['theorem']}", flush=True
        )
    return found


def _certificate(core: Any) -> dict[str, Any]:
    block = core.explicit()
    begun = time.perf_counter()
    answer = certify_block(block)
    seconds = time.perf_counter() - begun
    theorem = getattr(answer, "theorem", "unknown")
    return {"seconds": seconds, "theorem": theorem}


def main() -> None:
    """Dense matrices, convolutions, certificates."""
    arguments = _measure.parse_arguments(__doc__)
    quick = arguments.quick
    results: dict[str, Any] = {}
    for units in (8,) if quick else (64, 256, 1024):
        results[f"dense {units}"] = dense(units)
    for channels, side in ((2, 4),) if quick else ((4, 8), (16, 12), (16, 32), (64, 16)):
        results[f"convolution {channels} x {side}"] = convolution(channels, side)
    results["certificates"] = certificates(quick)
    _measure.store("norm_bounds", arguments, results)


if __name__ == "__main__":
    main()
