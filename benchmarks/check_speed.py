"""How long does the independent checker take, against the prover?

The prover is `certify`, in float64 with error bounds; the checker reads the file and proves all of
it again in ball arithmetic, with python-flint and the standard library alone. Files are those of
float32 maps, the float32 statement included.
"""

import tempfile
from pathlib import Path

import _measure
import jax
import jax.numpy as jnp
import numpy as np

from limitset import check
from limitset._system import AbstractMap
from limitset.contraction import AbstractMetric, Certificate, certify
from limitset.dynamics import ExplicitEuler, discretise
from limitset.io import write_certificate
from limitset.networks import RateNetwork
from limitset.training import AssemblyCore, Settings, build, find_task

# Seconds that a check may take.
TARGETS = {"rate 100": 5.0}


def rate_map(size: int) -> tuple[AbstractMap, None]:
    """A Gaussian rate network of norm 0.9 under explicit Euler."""
    weight = np.random.default_rng([2, size]).standard_normal((size, size))
    weight *= 0.9 / np.linalg.norm(weight, 2)
    network = RateNetwork(jnp.asarray(weight, jnp.float32), jnp.ones((size, 1), jnp.float32))
    return discretise(network, ExplicitEuler(0.5)), None


def assembly_map(modules: int, units: int) -> tuple[AbstractMap, AbstractMetric]:
    """The untrained classifier's map and its metric, as training starts from them."""
    model = build(find_task("digits"), Settings(AssemblyCore(modules=modules, units=units)))
    metric = model.core.metric()
    if metric is None:
        raise SystemExit("a stable assembly proposes a metric")
    return jax.jit(lambda m: m.explicit())(model).system, metric


def measure(
    name: str, system: AbstractMap, metric: AbstractMetric | None, folder: Path, repeats: int
) -> dict[str, object]:
    """Print and return the figures of one certificate."""
    answer = certify(system, metric=metric)
    if not isinstance(answer, Certificate):
        raise SystemExit(f"{name}: {answer.reason}")
    path = write_certificate(answer, folder / f"{name.replace(' ', '_')}.json")

    def recheck() -> None:
        verdict = check(path)
        if not verdict.accepted:
            raise SystemExit(f"{name}: rejected: {verdict.reason}")

    timings = _measure.interleave(
        {"check": recheck, "certify": lambda: certify(system, metric=metric)},
        repeats=repeats,
        warm_up=int(repeats > 1),
    )
    checked, proved = timings["check"], timings["certify"]
    ratio = checked.median / proved.median
    line = f"{name:16} check {checked}  certify {proved}  check / certify = {ratio:.2f}"
    target = TARGETS.get(name)
    if target is not None:
        line += f"  target {target:g} s: {_measure.verdict(checked.median < target)}"
    print(line, flush=True)
    return {
        "check": checked.record(),
        "certify": proved.record(),
        "ratio": ratio,
        "factor": answer.factor,
        "theorems": sorted(set(answer.module_theorems)),
        "float32_gap": None if answer.float32 is None else answer.float32.gap,
        "file_bytes": path.stat().st_size,
        "target_s": target,
    }


def main() -> None:
    """One network of 100 units and two assemblies."""
    arguments = _measure.parse_arguments(__doc__)
    if arguments.quick:
        cases = {"rate 10": (rate_map(10), 1), "assembly 2x4": (assembly_map(2, 4), 1)}
    else:
        cases = {
            "rate 100": (rate_map(100), 5),
            "assembly 4x32": (assembly_map(4, 32), 3),
            "assembly 16x32": (assembly_map(16, 32), 3),
        }
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, ((system, metric), repeats) in cases.items():
            results[name] = measure(name, system, metric, Path(folder), repeats)
    _measure.store("check_speed", arguments, results)


if __name__ == "__main__":
    main()
