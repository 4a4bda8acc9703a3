"""Is Newton along time faster than a scan, and for sequences of which length?

One certified assembly, one sequence, values and gradients, in single precision. Each Newton
iteration multiplies as many matrices as there are steps, so on a processor the scan should win; on
an accelerator, where steps in a row are slow and products are not, long sequences should not.
"""

import _measure
import jax
import jax.numpy as jnp

from limitset.contraction import Certificate, certify, random_stable_assembly
from limitset.dynamics import AbstractMap, ParallelNewton, Scan, SemiImplicit, discretise, simulate

LENGTHS = (1024, 4096, 16384)
MODULES, UNITS = 2, 8


def build() -> tuple[AbstractMap, float]:
    """The map and its certified factor."""
    core = random_stable_assembly(jax.random.key(0), modules=MODULES, units=UNITS, inputs=1)
    system = discretise(core.explicit(), SemiImplicit(0.5))
    answer = certify(system, metric=core.metric(), input_bound=None)
    if not isinstance(answer, Certificate) or answer.factor is None:
        raise SystemExit("the assembly is not certified")
    return system, answer.factor


def measure(system: AbstractMap, steps: int, repeats: int) -> dict[str, object]:
    """Print and return the figures for one length."""
    inputs = jax.random.normal(jax.random.key(1), (steps, system.input_size), jnp.float32)
    initial = jnp.zeros(system.state_size, jnp.float32)
    methods = {"scan": Scan(), "newton": ParallelNewton(tolerance=1e-5)}

    def run(method: Scan | ParallelNewton):  # noqa: ANN202
        return jax.jit(lambda system, u: simulate(system, initial, u, method=method))

    def slope(method: Scan | ParallelNewton):  # noqa: ANN202
        def loss(system: AbstractMap, u: jax.Array) -> jax.Array:
            return jnp.square(simulate(system, initial, u, method=method).states).mean()

        return jax.jit(jax.grad(loss))

    values = {name: run(method)(system, inputs) for name, method in methods.items()}
    gap = float(jnp.abs(values["scan"].states - values["newton"].states).max())
    ending = values["newton"].convergence
    if not gap <= 1e-3:
        raise SystemExit(f"{steps} steps: the two differ by {gap:.2g}")
    functions = {f"{n}, values": run(m) for n, m in methods.items()}
    functions |= {f"{n}, gradients": slope(m) for n, m in methods.items()}
    tasks = {
        name: lambda f=f: jax.block_until_ready(f(system, inputs)) for name, f in functions.items()
    }
    timings = _measure.interleave(tasks, repeats=repeats)
    record: dict[str, object] = {"difference": gap, "iterations": int(ending.iterations)}
    for name, timing in timings.items():
        print(f"{steps:6} steps, {name:18} {timing}", flush=True)
        record[name] = timing.record()
    for what in ("values", "gradients"):
        ratio = timings[f"scan, {what}"].median / timings[f"newton, {what}"].median
        record[f"ratio_{what}"] = ratio
        print(
            f"{steps:6} steps, {what}: scan / newton = {ratio:.3g}, "
            f"{int(ending.iterations)} iterations, differ by {gap:.1g}"
        )
    return record


def main() -> None:
    """All lengths."""
    arguments = _measure.parse_arguments(__doc__)
    device = jax.devices()[0]
    system, factor = build()
    print(f"{MODULES} modules of {UNITS} units, factor {factor:.4f}, on {device.device_kind}")
    lengths, repeats = ((32,), 1) if arguments.quick else (LENGTHS, 5)
    results = {str(steps): measure(system, steps, repeats) for steps in lengths}
    record = {"factor": factor, "units": system.state_size, "device": device.device_kind}
    _measure.store("parallel_in_time", arguments, record | results)


if __name__ == "__main__":
    main()
