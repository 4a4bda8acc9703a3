"""What steep update gates do to one network: it freezes, holds kicks, and drops them on command."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.dynamics import ExponentialEuler, discretise, gated_jacobian, simulate
from limitset.networks import GatedNetwork, GatedParameters, random_gated_network

SIZE = 500
STEP = 0.1
SEEDS = range(4)
NO_INPUT = jnp.zeros(1)


class Rest(NamedTuple):
    """A network, and the state that it has come to from an independent random one."""

    network: GatedNetwork
    state: jax.Array
    h: np.ndarray
    gates: np.ndarray
    gap: np.ndarray


def opened_by_input(seed: int, gain: float, update_gain: float) -> GatedNetwork:
    """Output gates are open; the input pushes all update gates alike."""
    own = GatedParameters(gain=gain, update_gain=update_gain, update_time=2.0, open_output=True)
    drawn = random_gated_network(jax.random.key(seed), SIZE, own)
    pushes = jnp.zeros((3 * SIZE, 1)).at[SIZE : 2 * SIZE].set(1.0)
    weights = (drawn.state_weight, drawn.update_weight, drawn.output_weight)
    return GatedNetwork(*weights, own, input_weight=pushes)


@jax.jit
def run(network: GatedNetwork, x: jax.Array, inputs: jax.Array) -> jax.Array:
    return simulate(discretise(network, ExponentialEuler(STEP)), x, inputs).final


def wait(network: GatedNetwork, x: jax.Array, time: float, push: float = 0.0) -> jax.Array:
    return run(network, x, jnp.full((round(time / STEP), 1), push))


def start(seed: int, amplitude: float) -> jax.Array:
    h = np.random.default_rng(seed).normal(size=SIZE)
    return jnp.asarray(np.concatenate([amplitude * h, np.zeros(2 * SIZE)]))


def rest(network: GatedNetwork, seed: int, amplitude: float = 1.0) -> Rest:
    """The state after 250 units of time, its gates, and `h - R`."""
    own, x = network.parameters, wait(network, start(seed, amplitude), 250)
    h, z, _ = jnp.split(x, 3)
    gap = h - network.state_weight @ own.phi(h)
    return Rest(network, x, np.asarray(h), np.asarray(own.update_gate(z)), np.asarray(gap))


def open_share_of_stability(found: Rest) -> float:
    """`K f1`: the stability number times the fraction of open update gates."""
    own = found.network.parameters
    return float(np.mean(own.phi_slope(jnp.asarray(found.h)) ** 2) * np.mean(found.gates > 0.5))


@pytest.fixture(scope="module")
def frozen() -> list[Rest]:
    return [rest(opened_by_input(seed, 2.5, 1000.0), seed) for seed in SEEDS]


@pytest.mark.slow
def test_gating_pitfall_10_half_of_the_network_freezes_away_from_h_equal_r(frozen: list[Rest]):
    """Frozen units are not at `h = R`, active ones are."""
    for found in frozen:
        shut = found.gates < 0.01
        assert shut.mean() == pytest.approx(0.5, abs=0.05)
        speed = found.network.velocity(0.0, found.state, NO_INPUT)[:SIZE]
        assert float(jnp.abs(speed).max()) < 1e-3
        assert np.sqrt(np.mean(found.gap[shut] ** 2)) > 0.6
        assert np.sqrt(np.mean(found.gap[found.gates > 0.99] ** 2)) < 1e-3
        assert open_share_of_stability(found) < 1
    eigenvalues = np.linalg.eigvals(gated_jacobian(frozen[0].network, frozen[0].state, NO_INPUT))
    assert (np.abs(eigenvalues) < 1e-3).sum() / SIZE == pytest.approx(0.52, abs=0.05)


@pytest.mark.slow
def test_gating_23_the_frozen_state_depends_on_the_start(frozen: list[Rest]):
    """So fixed-point theory does not predict its variance."""
    large = np.mean([found.h.var() for found in frozen])
    small = [rest(found.network, seed, 0.1) for seed, found in zip(SEEDS, frozen, strict=True)]
    assert large == pytest.approx(0.66, abs=0.05)
    assert np.mean([found.h.var() for found in small]) == pytest.approx(0.52, abs=0.05)
    # A small start stops freezing where it must: at the edge of instability.
    shares = [np.mean([open_share_of_stability(f) for f in group]) for group in (frozen, small)]
    assert shares == pytest.approx([0.75, 0.98], abs=0.06), shares


@pytest.mark.slow
def test_gating_23_beyond_the_marginal_phase_nothing_freezes():
    chaotic, seen = opened_by_input(0, 5.0, 100.0), []
    x = start(0, 1.0)
    for _ in range(6):
        x = wait(chaotic, x, 60)
        h, z, _ = (np.asarray(part) for part in jnp.split(x, 3))
        gates = np.asarray(chaotic.parameters.update_gate(jnp.asarray(z)))
        seen.append(open_share_of_stability(Rest(chaotic, x, h, gates, h)))
        speed = chaotic.velocity(0.0, x, NO_INPUT)[:SIZE]
        assert float(jnp.abs(speed).max()) > 0.05
    assert 1.1 < np.mean(seen) < 1.8


@pytest.mark.slow
def test_gating_23_kicks_are_held(frozen: list[Rest]):
    """Good to about a tenth of `h`; active units follow, so the whole displacement grows."""
    kept: dict[float, list[float]] = {0.01: [], 0.1: [], 0.5: []}
    for seed, found in zip(SEEDS, frozen, strict=True):
        shut, kick = found.gates < 0.01, np.random.default_rng(50 + seed).normal(size=SIZE)
        for size, values in kept.items():
            kicked = found.state.at[:SIZE].add(size * kick)
            moved = np.asarray(wait(found.network, kicked, 200))[:SIZE] - found.h
            values.append(float(moved[shut] @ kick[shut] / (size * kick[shut] @ kick[shut])))
            assert np.linalg.norm(moved) > np.linalg.norm(size * kick)
    held = [float(np.mean(values)) for values in kept.values()]
    assert held == pytest.approx([1.0, 0.84, 0.40], abs=0.1), held


@pytest.mark.slow
def test_gating_23_opening_all_gates_drops_the_memory(frozen: list[Rest]):
    """What is left is at the level of unrelated memories; without it nothing is lost."""
    left, unrelated = [], []
    for seed, found in zip(SEEDS, frozen, strict=True):
        waited = np.asarray(wait(found.network, found.state, 300))[:SIZE]
        assert np.corrcoef(waited, found.h)[0, 1] > 0.999
        opened = wait(found.network, found.state, 50, push=100.0)
        after = np.asarray(wait(found.network, opened, 250))[:SIZE]
        left.append(np.corrcoef(after, found.h)[0, 1])
        other = rest(found.network, seed + 100).h
        unrelated.append(np.corrcoef(other, found.h)[0, 1])
    assert np.max(np.abs(left)) < 0.35 and np.max(np.abs(unrelated)) < 0.35
    assert abs(np.mean(left)) < 0.2
