"""How fast is mean-field theory: a point of dynamic theory, and curves over a plane of gains?

A point is solved after compilation, for parameters that differ in every call. Plain damped
iteration of the same equations, to the same residual, stands beside it.
"""

import _measure
import jax
import jax.numpy as jnp
import numpy as np

from limitset.meanfield import (
    Fourier,
    chaos_gain,
    maximal_exponent,
    phase_curves,
    phase_plane,
    solve_correlations,
)
from limitset.meanfield._fourier import first_guess, gaussian_step
from limitset.networks import GatedParameters

POINTS = {
    "without gates": GatedParameters(gain=2.0, open_update=True, open_output=True),
    "gated": GatedParameters(gain=3.0, output_gain=10.0),
    "near a transition": GatedParameters(gain=2.01, output_gain=2.0),
    "coexistence": GatedParameters(gain=1.9, output_gain=20.0),
    "below the onset": GatedParameters(gain=1.7, output_gain=20.0),
}
ROUNDS = 5000
TOLERANCE = 1e-9


@jax.jit
def plain(parameters: GatedParameters) -> tuple[jax.Array, jax.Array]:
    """Damped iteration, 0.7 of the way; returns `C_h(0)` and the number of rounds."""
    ring, start, _ = first_guess(None, 257, parameters, jnp.zeros(()))

    def proceeds(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[1] < ROUNDS) & (state[2] > TOLERANCE)

    def step(
        state: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        x = state[0]
        change = gaussian_step(parameters, ring, x, jnp.zeros(()))[0] - x
        return x + 0.7 * change, state[1] + 1, jnp.abs(change).max() / jnp.abs(x[0])

    x, rounds, _ = jax.lax.while_loop(proceeds, step, (start, jnp.array(0), jnp.array(jnp.inf)))
    return x[0], rounds


def measure_point(name: str, parameters: GatedParameters, repeats: int) -> dict[str, object]:
    """Print and return the figures of one point."""
    found = solve_correlations(parameters, method=Fourier())
    other, rounds = plain(parameters)
    if not (bool(found.has_converged) and abs(float(other - found.state[0])) < 1e-3):
        raise SystemExit(f"{name}: {float(found.state[0])} and {float(other)} differ")
    timings = _measure.interleave(
        {
            "correlations": lambda: jax.block_until_ready(
                solve_correlations(parameters, method=Fourier())
            ),
            "exponent": lambda: jax.block_until_ready(
                maximal_exponent(parameters, method=Fourier())
            ),
            "plain iteration": lambda: jax.block_until_ready(plain(parameters)),
        },
        repeats=repeats,
    )
    ratio = timings["plain iteration"].median / timings["correlations"].median
    for task, timing in timings.items():
        print(f"{name:18} {task:16} {timing}", flush=True)
    print(
        f"{name:18} plain / ours = {ratio:.3g}; {int(rounds)} and {int(found.iterations)} rounds",
        flush=True,
    )
    record: dict[str, object] = {task: timing.record() for task, timing in timings.items()}
    record |= {"ratio": ratio, "rounds": int(rounds), "iterations": int(found.iterations)}
    return record


def measure_curves(count: int, repeats: int) -> dict[str, object]:
    """A row of onsets of chaos, phase curves, and a plane of `count` by `count` gains."""
    outputs, gains = np.linspace(0.0, 40.0, count), np.linspace(1.0, 5.0, count)
    onsets = jax.jit(jax.vmap(lambda gain: chaos_gain(gain).gain))
    timings = _measure.interleave(
        {
            "onset of chaos": lambda: jax.block_until_ready(onsets(jnp.asarray(outputs))),
            "phase curves": lambda: phase_curves(outputs),
            "phase plane": lambda: phase_plane(gains, outputs),
        },
        repeats=repeats,
    )
    for task, timing in timings.items():
        print(f"{count} output gains    {task:16} {timing}", flush=True)
    return {task: timing.record() for task, timing in timings.items()}


def main() -> None:
    """All points, then the curves."""
    arguments = _measure.parse_arguments(__doc__)
    repeats = 1 if arguments.quick else 15
    names = ["gated"] if arguments.quick else [*POINTS]
    points = {name: measure_point(name, POINTS[name], repeats) for name in names}
    curves = measure_curves(3 if arguments.quick else 40, 1 if arguments.quick else 3)
    _measure.store("meanfield_speed", arguments, {"points": points, "curves": curves})


if __name__ == "__main__":
    main()
