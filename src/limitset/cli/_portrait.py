"""The phase portrait on pages of `limitset prove`."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset.dynamics import ExplicitEuler, discretise, simulate_batch
from limitset.networks import RateNetwork, widened
from limitset.proofs import Cycle, Equilibrium
from limitset.report import Portrait, Section, draw_phase_portrait

# Steps small enough for the eye to see no difference from the flow; some of them are drawn.
_RUNS, _STEPS, _STEP, _DRAWN = 24, 6000, 0.005, 10


def draw_portrait(
    network: RateNetwork, equilibria: Sequence[Equilibrium], cycles: Sequence[Cycle]
) -> tuple[str, ...]:
    """The portrait as SVG text; none for networks of one unit, which have no plane."""
    if network.state_size < 2:
        return ()
    states = [e.center for e in equilibria] + [s for cycle in cycles for s in cycle.states]
    portrait = Portrait(
        _trajectories(network, np.array(states).reshape(-1, network.state_size)),
        np.array([e.center for e in equilibria]).reshape(-1, network.state_size),
        tuple(e.stability.value for e in equilibria),
        [cycle.states for cycle in cycles],
        [cycle.state_radius for cycle in cycles],
    )
    return (draw_phase_portrait(portrait),)


def portrait_section(figures: tuple[str, ...]) -> tuple[Section, ...]:
    """The section of the page that holds the portrait, if there is one."""
    return (Section("Phase portrait", (_READ,), figures),) if figures else ()


def _trajectories(
    network: RateNetwork, states: Float[np.ndarray, "k n"]
) -> Float[np.ndarray, "runs steps n"]:
    """Runs from around the states that were proved, so that the picture is about these."""
    n = network.state_size
    spread = 1.5 * np.abs(states).max(0, initial=0.5) + 0.2
    starts = np.random.default_rng(0).uniform(-spread, spread, (_RUNS, n))
    step = _STEP * float(network.time_constant)
    runner = discretise(widened(network), ExplicitEuler(step))
    inputs = jnp.zeros((_RUNS, _STEPS, network.input_size))
    runs = np.asarray(simulate_batch(runner, jnp.asarray(starts), inputs).states)
    return np.concatenate([starts[:, None], runs[:, ::_DRAWN]], axis=1)


_READ = (
    "Thin lines are simulated. Proved equilibria are full where they attract and empty where they "
    "do not; proved cycles are black. More than two states are projected."
)
