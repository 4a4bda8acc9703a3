"""How long do proofs about dynamics take, and how many candidates do they settle?

All Hopf points of the pure class against the eigenvectors alone, which prove nothing; single Hopf
points of biased networks with leak, as their number of units grows; all equilibria of random
networks; and a scan of small biased networks from candidates to proofs.
"""

import time

import _measure
import jax.numpy as jnp
import numpy as np

from limitset.analysis import find_hopf_points
from limitset.networks import RateNetwork, gain_family
from limitset.proofs import (
    HopfPoint,
    Refusal,
    prove_all_equilibria,
    prove_all_hopf,
    prove_hopf,
)

# Seconds that proofs may take: by units in the pure class, for one point, for all equilibria.
PURE = {400: 2.0, 800: 15.0, 1600: None}
POINT = {10: None, 100: 0.5, 200: 2.0}
EQUILIBRIA = {(4, 2.0): None, (6, 2.0): None, (8, 2.0): 3.0, (10, 1.5): 3.0}


def pure_weight(size: int) -> np.ndarray:
    """A random skew matrix with a small general part, as in arXiv 2202.05073."""
    rng = np.random.default_rng(80)
    R = rng.standard_normal((size, size))
    return R - R.T + 0.1 * rng.standard_normal((size, size))


def biased_network(seed: int, size: int) -> RateNetwork:
    """A Gaussian network with bias and leak."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((size, size)) / np.sqrt(size)
    bias = 0.8 * rng.standard_normal(size)
    return RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")


def measure_pure(size: int, target: float | None, repeats: int) -> dict[str, object]:
    """All Hopf points over all parameters."""
    weight = pure_weight(size)
    tasks = {"prove": lambda: prove_all_hopf(weight), "eig": lambda: np.linalg.eig(weight)}
    timings = _measure.interleave(tasks, repeats=repeats, warm_up=int(repeats > 1))
    answer = prove_all_hopf(weight)
    if isinstance(answer, Refusal):
        raise SystemExit(f"N = {size}: {answer}")
    count, undecided = len(answer.proved), len(answer.undecided)
    ratio = timings["prove"].median / timings["eig"].median
    line = f"pure class N = {size:5} {timings['prove']}  {count} proved, {undecided} undecided"
    line += f"  prove / eig = {ratio:.2f}"
    if target is not None:
        line += f"  target {target:g} s: {_measure.verdict(timings['prove'].median < target)}"
    print(line, flush=True)
    return {
        **timings["prove"].record(),
        "eig": timings["eig"].record(),
        "ratio": ratio,
        "proved": count,
        "undecided": undecided,
        "complete": answer.complete,
        "target_s": target,
    }


def measure_point(size: int, target: float | None, repeats: int) -> dict[str, object]:
    """One Hopf point of the first biased network of this size that has one."""
    for seed in range(100):
        network = biased_network(seed, size)
        family, rest = gain_family(network), np.tanh(np.asarray(network.bias))
        # Large networks have their first point soon, and dozens later.
        highest = 8.0 if size < 50 else 2.0
        found = find_hopf_points(family, [rest], (0.0, highest), step=0.1)
        if found:
            break
    else:
        raise SystemExit(f"no network of {size} units has a Hopf point")
    c = found[0]

    def prove() -> object:
        return prove_hopf(family, c.parameter, c.frequency, c.state, c.vector)

    timing = _measure.interleave({"prove": prove}, repeats=repeats)["prove"]
    answer = prove()
    settled = isinstance(answer, HopfPoint)
    line = f"one point  N = {size:5} {timing}  {'proved' if settled else answer}"
    if target is not None:
        line += f"  target {target:g} s: {_measure.verdict(timing.median < target)}"
    print(line, flush=True)
    return {**timing.record(), "seed": seed, "proved": settled, "target_s": target}


def measure_equilibria(
    size: int, gain: float, target: float | None, repeats: int
) -> dict[str, object]:
    """All equilibria in the whole space."""
    rng = np.random.default_rng(size)
    weight = gain * rng.standard_normal((size, size)) / np.sqrt(size)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(0.1 * rng.standard_normal(size)))
    timing = _measure.interleave(
        {"prove": lambda: prove_all_equilibria(network)}, repeats=repeats, warm_up=0
    )["prove"]
    found = prove_all_equilibria(network)
    line = f"equilibria N = {size:5} gain {gain:g} {timing}  {len(found.equilibria)} proved"
    line += f", {'complete' if found.complete else 'not complete'}, {found.boxes} boxes"
    if target is not None:
        line += f"  target {target:g} s: {_measure.verdict(timing.median < target)}"
    print(line, flush=True)
    return {
        **timing.record(),
        "count": len(found.equilibria),
        "complete": found.complete,
        "boxes": found.boxes,
        "target_s": target,
    }


def measure_scan(networks: int) -> dict[str, object]:
    """Random biased networks of 3 to 12 units, gains from 0 to 8: candidates and proofs."""
    begun, searched, candidates, proved = time.perf_counter(), 0.0, 0, 0
    reasons: dict[str, int] = {}
    for seed in range(networks):
        network = biased_network(1000 + seed, 3 + seed % 10)
        family, rest = gain_family(network), np.tanh(np.asarray(network.bias))
        start = time.perf_counter()
        found = find_hopf_points(family, [rest], (0.0, 8.0), step=0.1)
        searched += time.perf_counter() - start
        for c in found:
            answer = prove_hopf(family, c.parameter, c.frequency, c.state, c.vector)
            candidates += 1
            if isinstance(answer, HopfPoint):
                proved += 1
            else:
                reasons[answer.reason.value] = reasons.get(answer.reason.value, 0) + 1
    seconds = time.perf_counter() - begun
    print(
        f"scan       {networks} networks, {candidates} candidates, {proved} proved, "
        f"{seconds:.3g} s, of which search {searched:.3g} s"
    )
    return {
        "networks": networks,
        "candidates": candidates,
        "proved": proved,
        "refused": reasons,
        "seconds": seconds,
        "search_s": searched,
    }


def main() -> None:
    """All four, or tiny ones."""
    arguments = _measure.parse_arguments(__doc__)
    if arguments.quick:
        results = {
            "pure": {"6": measure_pure(6, None, 1)},
            "point": {"4": measure_point(4, None, 1)},
            "equilibria": {"2": measure_equilibria(2, 2.0, None, 1)},
            "scan": measure_scan(3),
        }
    else:
        results = {
            "pure": {str(n): measure_pure(n, t, 3) for n, t in PURE.items()},
            "point": {str(n): measure_point(n, t, 5) for n, t in POINT.items()},
            "equilibria": {
                f"{n}, gain {g:g}": measure_equilibria(n, g, t, 3)
                for (n, g), t in EQUILIBRIA.items()
            },
            "scan": measure_scan(240),
        }
    _measure.store("prove_speed", arguments, results)


if __name__ == "__main__":
    main()
