"""Gated maps, recurrences, stacks, composites and RENs in float32, measured against the claims."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.float32_kinds import INPUTS, KINDS, certified, single
from limitset.contraction import Certificate, Float32Gap, certify
from limitset.contraction._float32 import ACTIVATION_ERROR, float32_gap
from limitset.dynamics import AbstractMap
from limitset.networks import DiagonalRecurrence, Stack

pytestmark = pytest.mark.usefixtures("no_shape_checks")

BOUND = 1.0
STEPS = 80
# Each kind compiles three programs: a few of them in the fast suite, all in the slow one.
FAST = ("gated", "recurrence", "gated_stack", "hierarchy", "ren")
MEASURED = [pytest.param(kind, 1, id=kind) for kind in FAST]
MEASURED += [pytest.param(k, 20, id=f"{k}_often", marks=pytest.mark.slow) for k in KINDS]


@eqx.filter_jit
def steps(system: Any, x: jax.Array, u: jax.Array) -> jax.Array:
    """One step from many states, each with its input."""
    return jax.vmap(lambda x, u: system.advance(0, x, u))(x, u)


@eqx.filter_jit
def runs(system: Any, x: jax.Array, u: jax.Array, towards: jax.Array) -> jax.Array:
    """Two runs of one input; the second is moved by one unit in the last place at every step."""

    def step(pair: jax.Array, given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        following = jax.vmap(lambda x: system.advance(0, x, given[0]))(pair)
        following = following.at[1].set(jnp.nextafter(following[1], given[1]))
        return following, following

    return jax.lax.scan(step, x, (u, towards))[1]


def double(system: AbstractMap) -> AbstractMap:
    """The same numbers, to be computed with in float64."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), system)


def distances(answer: Certificate, v: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(answer.metric.norm)(jnp.asarray(v, jnp.float64)))


def statement_of(kind: str, rng: np.random.Generator) -> tuple[AbstractMap, Certificate, Any]:
    system = KINDS[kind](rng)
    answer = certified(kind, system, BOUND)
    assert isinstance(answer, Certificate) and answer.float32 is not None, kind
    return system, answer, answer.float32


def directions(rng: np.random.Generator, count: int, n: int) -> np.ndarray:
    """Random ones, half of them nearly along single units."""
    found = rng.standard_normal((count, n))
    found[::2] = 0.01 * found[::2] + np.eye(n)[rng.integers(n, size=len(found[::2]))]
    return found


def edge(
    rng: np.random.Generator, part: Certificate, radii: tuple[float, ...], count: int
) -> np.ndarray:
    """States just inside the ball, or with every unit just inside its disc."""
    n = part.system.state_size
    if isinstance(part.system, DiagonalRecurrence):
        turn = np.exp(2j * np.pi * rng.random((count, n // 2))) * np.array(radii) * (1 - 1e-6)
        return np.concatenate([turn.real, turn.imag], axis=1)
    x = directions(rng, count, n)
    return (1 - 1e-6) * radii[0] * x / distances(part, x)[:, None]


def corners(rng: np.random.Generator, answer: Certificate, gap: Float32Gap) -> np.ndarray:
    """Float32 states on the edge of where runs stay."""
    parts = answer.parts if isinstance(answer.system, Stack) else (answer,)
    radii = gap.radii if gap.radii else ((gap.state_radius,),)
    pieces = [edge(rng, part, own, 32) for part, own in zip(parts, radii, strict=True)]
    return np.concatenate(pieces, axis=1).astype(np.float32)


def stays(answer: Certificate, gap: Float32Gap, x: np.ndarray) -> bool:
    """Whether states are in the ball, or layer by layer in balls and discs."""
    if not gap.radii:
        return bool((distances(answer, x) <= gap.state_radius * (1 + 1e-12)).all())
    parts, start = answer.parts if isinstance(answer.system, Stack) else (answer,), 0
    for part, radii in zip(parts, gap.radii, strict=True):
        n = part.system.state_size
        own = x[:, start : (start := start + n)].astype(float)
        if isinstance(part.system, DiagonalRecurrence):
            sizes = np.hypot(own[:, : n // 2], own[:, n // 2 :])
            inside = sizes <= np.array(radii) * (1 + 1e-12)
        else:
            inside = distances(part, own) <= radii[0] * (1 + 1e-12)
        if not inside.all():
            return False
    return True


@pytest.mark.parametrize(("kind", "draws"), MEASURED)
def test_float32_errs_less_than_proved(kind: str, draws: int):
    """One step from the edge of where runs stay, against float64; then two runs of one input."""
    rng = np.random.default_rng(11)
    for _ in range(draws):
        system, answer, gap = statement_of(kind, rng)
        check_steps(rng, system, answer, gap)
        check_runs(rng, system, answer, gap)


def check_steps(
    rng: np.random.Generator, system: AbstractMap, answer: Certificate, gap: Float32Gap
) -> None:
    """`|float32 step - exact step|_M <= rounding`, and nothing leaves its ball or disc."""
    x = corners(rng, answer, gap)
    u = (BOUND * rng.choice([-1, 1], (len(x), INPUTS))).astype(np.float32)
    u[::2] *= rng.random((len(u[::2]), INPUTS)).astype(np.float32)
    coarse = np.asarray(steps(system, jnp.asarray(x), jnp.asarray(u)), np.float64)
    fine = steps(double(system), jnp.asarray(x, jnp.float64), jnp.asarray(u, jnp.float64))
    slip = distances(answer, coarse - np.asarray(fine))
    # Float64's own errors are a billion times smaller than what is measured.
    assert 0 < slip.max() <= gap.rounding * (1 + 1e-6)
    assert stays(answer, gap, coarse)


def check_runs(
    rng: np.random.Generator, system: AbstractMap, answer: Certificate, gap: Float32Gap
) -> None:
    """`|x_n - y_n|_M <= factor^n |x_0 - y_0|_M + gap`, from opposite starts."""
    x = directions(rng, 1, system.state_size)
    x = np.concatenate([x, -x]) * (1 - 1e-6) * gap.state_radius / distances(answer, x)
    start = jnp.asarray(x, jnp.float32)
    u = single(BOUND * rng.choice([-1, 1], (STEPS, INPUTS)))
    towards = single(rng.choice([-np.inf, np.inf], (STEPS, system.state_size)))
    both = np.asarray(runs(system, start, u, towards), np.float64)
    apart = distances(answer, both[:, 0] - both[:, 1])
    first = distances(answer, np.asarray(start[:1], np.float64) - np.asarray(start[1:]))
    allowed = (answer.factor or 0.0) ** np.arange(1, STEPS + 1) * first + gap.gap
    assert (apart <= allowed * (1 + 1e-12)).all() and 0 < apart[-1]
    assert all(stays(answer, gap, run) for run in (both[:, 0], both[:, 1]))


@pytest.mark.parametrize("kind", ["gated", "recurrence", "gated_stack", "hierarchy"])
def test_the_gap_is_no_more_than_rounding_and_factor_give(kind: str):
    _, answer, gap = statement_of(kind, np.random.default_rng(0))
    plain = 2 * gap.rounding / (1 - (answer.factor or 0.0))
    layered = kind in ("recurrence", "recurrence_stack", "gated_stack", "mixed_stack")
    assert gap.gap <= plain * (1 + 1e-12) and bool(gap.radii) == layered
    assert layered or gap.gap == pytest.approx(plain, rel=1e-12)
    assert gap.input_bound == BOUND and 0 < gap.rounding and 0 < gap.state_radius


def test_layers_have_gaps_of_their_own_so_that_stacks_gain_much():
    """The slowest unit's factor does not multiply the errors of all others."""
    _, answer, gap = statement_of("recurrence_stack", np.random.default_rng(0))
    assert gap.gap < 0.75 * 2 * gap.rounding / (1 - (answer.factor or 0.0))


def test_sigmoids_in_gates_are_never_exact():
    rng = np.random.default_rng(3)
    for kind, error in (("gated_units", ACTIVATION_ERROR), ("recurrence", 0.0)):
        _, _, gap = statement_of(kind, rng)
        assert gap.activation_error == error


@pytest.mark.parametrize("kind", ["gated", "recurrence", "hierarchy"])
def test_larger_inputs_have_a_larger_gap_and_unbounded_ones_none(kind: str):
    system = KINDS[kind](np.random.default_rng(5))
    gaps = []
    for bound in (0.0, 1.0, 100.0):
        answer = certified(kind, system, bound)
        assert isinstance(answer, Certificate) and answer.float32 is not None
        gaps.append(answer.float32.gap)
    assert gaps == sorted(gaps) and gaps[0] < gaps[2]
    answer = certify(system, input_bound=None)
    assert isinstance(answer, Certificate) and answer.float32 is None


@pytest.mark.parametrize("kind", ["gated", "recurrence", "mixed_parts", "ren"])
def test_no_statement_about_other_arithmetic_or_numbers_that_overflow(kind: str):
    """One tensor in float64; and inputs of 1e38, whose products are infinite in float32."""
    system = KINDS[kind](np.random.default_rng(6))
    answer = certified(kind, system)
    assert isinstance(answer, Certificate) and answer.float32 is not None
    assert float32_gap(answer, 1e38) is None
    answer = certified(kind, double(system))
    assert isinstance(answer, Certificate) and answer.float32 is None


def test_biases_that_overflow_leave_no_statement():
    for kind in ("gated_units", "recurrence", "gated_stack", "ren", "mixed_parts"):
        system = KINDS[kind](np.random.default_rng(7))

        def places(s: Any, kind: str = kind) -> Any:
            parts = {"gated_units": "units.gate_bias", "recurrence": "bias", "ren": "bv"}
            parts |= {"gated_stack": "embedding_bias", "mixed_parts": "parts"}
            node = s
            for name in parts[kind].split("."):
                node = getattr(node, name)
            return node[-1].bias_ih if kind == "mixed_parts" else node

        altered = eqx.tree_at(places, system, jnp.full_like(places(system), 3e38))
        answer = certified(kind, altered)
        assert isinstance(answer, Certificate) and answer.float32 is None, kind


def test_bounds_of_the_gated_ball_use_that_speeds_differ():
    """By contraction alone the ball would be `fastest / slowest` times the inputs' size."""
    _, answer, gap = statement_of("gated", np.random.default_rng(1))
    pushed = 0.5 * np.linalg.norm(np.ones(8))
    assert gap.state_radius < 0.5 * pushed / (1 - (answer.factor or 0.0))
