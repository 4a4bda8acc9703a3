"""Backward Euler in float32: what a solver may leave, and what follows from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from contraction.implicit_maps import (
    FLOWS,
    INPUTS,
    advance,
    at_step,
    certified,
    distances,
    double,
    exact_residual,
    in_ball,
    rate,
    run,
    single,
)
from limitset import InputProblem
from limitset.checker._size import FARTHEST as CHECKED
from limitset.contraction import (
    Certificate,
    DiagonalMetric,
    Float32Gap,
    MaximumMetric,
    QuadraticMetric,
    SumMetric,
    certify,
    explain,
)
from limitset.contraction._float32_step import local_step
from limitset.contraction._size import FARTHEST, exact_inputs
from limitset.dynamics import (
    BackwardEuler,
    ExplicitEuler,
    ImplicitMap,
    discretise,
    implicit_residual,
    largest_residual,
    simulate,
)
from limitset.dynamics._implicit import _FARTHEST
from limitset.networks import Composite, GatedRate, RateNetwork

pytestmark = pytest.mark.usefixtures("no_shape_checks")

STEPS = (1e-3, 0.3, 1.0, 50.0)


def statement(certificate: object) -> Float32Gap:
    gap = getattr(certificate, "float32", None)
    assert isinstance(gap, Float32Gap) and gap.residual is not None and gap.residual > 0
    return gap


# Each kind compiles in both precisions.
SOME = ("firing_rate_relu", "assembly")
SELECTED = [pytest.param(k, marks=() if k in SOME else pytest.mark.slow, id=k) for k in FLOWS]


@pytest.mark.parametrize("kind", SELECTED)
def test_runs_leave_less_than_allowed_and_err_less_than_proved(kind: str):
    """From the edge of the ball; exact steps are those of float64, which leave 1e-9 times less."""
    rng = np.random.default_rng(11)
    flow = FLOWS[kind](rng)
    for step in STEPS:
        system = at_step(flow, step)
        answer = certified(system)
        gap = statement(answer)
        x = in_ball(rng, answer, gap.state_radius, 8)
        u = single(rng.choice([-1, 1], (30, INPUTS)) * rng.random((30, 1)) ** 0.2)
        states, residual = run(system, single(x), u)
        assert float(residual.max()) <= 0.5 * (gap.residual or 0.0)
        before = np.concatenate([x[:, None], np.asarray(states)[:, :-1]], axis=1)
        flat = jnp.asarray(before.reshape(-1, before.shape[-1]), jnp.float64)
        exact = advance(double(system), flat, jnp.tile(double(u), (len(x), 1)))
        slip = distances(
            answer, np.asarray(states, np.float64) - np.asarray(exact).reshape(before.shape)
        )
        assert 0 < slip.max() <= gap.rounding
        assert (distances(answer, states) <= gap.state_radius).all()
        apart = distances(answer, np.asarray(states, np.float64)[:1] - np.asarray(states)[1:])
        first = distances(answer, x[:1].astype(np.float64) - x[1:])
        allowed = (answer.factor or 0.0) ** np.arange(1, 31) * first[:, None] + gap.gap
        assert (apart <= allowed).all()


@pytest.mark.parametrize("kind", SELECTED)
def test_an_evaluated_residual_errs_less_than_is_allowed(kind: str):
    """Against 200 bits; for any two states of the ball, and in proportion outside it."""
    rng = np.random.default_rng(3)
    flow = FLOWS[kind](rng)
    for step in (0.01, 7.0):
        system = at_step(flow, step)
        answer = certified(system)
        gap = statement(answer)
        x, z = (in_ball(rng, answer, gap.state_radius, 4) for _ in range(2))
        u = rng.choice([-1, 1], (4, INPUTS)).astype(np.float32)
        for factor in (1e-4, 1.0, 30.0):
            following = (factor * z).astype(np.float32)
            found = judge(system, single(x), single(following), single(u))
            for k in range(4):
                exact = exact_residual(system, x[k], following[k], u[k])
                slips = [abs(arb(float(a)) - b) for a, b in zip(found[k], exact, strict=True)]
                assert all(slip <= max(1.0, factor) * arb(gap.residual) for slip in slips)


@eqx.filter_jit
def judge(system: ImplicitMap, x: jax.Array, following: jax.Array, u: jax.Array) -> jax.Array:
    """The residuals of many steps."""
    return jax.vmap(lambda x, z, u: implicit_residual(system, 0, x, z, u))(x, following, u)


@pytest.mark.parametrize("kind", ["firing_rate_relu", "assembly"])
def test_what_a_step_leaves_counts_and_no_more(kind: str):
    """States that miss their equation by just the residual are within the rounding of a step."""
    rng = np.random.default_rng(4)
    system = at_step(FLOWS[kind](rng), 0.5)
    answer = certified(system)
    gap, n = statement(answer), system.state_size
    x, u = in_ball(rng, answer, gap.state_radius, 64), rng.choice([-1, 1], (64, INPUTS))
    wanted = (gap.residual or 0.0) * rng.choice([-1.0, 1.0], (64, n))
    exact, entering = double(system), double(u)
    # The state with the residual r is what follows x + r.
    missed = advance(exact, double(x) + wanted, entering)
    slip = distances(answer, missed - advance(exact, double(x), entering))
    assert 0.02 * gap.rounding < slip.max() <= gap.rounding
    far = advance(exact, double(x) + 300 * wanted, entering)
    assert distances(answer, far - advance(exact, double(x), entering)).max() > gap.rounding


def test_one_step_that_is_not_solved_is_outside_the_statement():
    """A twin whose every step stops halfway: its runs do not end within the gap, and it shows."""
    rng = np.random.default_rng(6)
    system = at_step(FLOWS["hopfield_tanh"](rng), 0.5)
    answer = certified(system)
    gap = statement(answer)
    x, u = single(in_ball(rng, answer, gap.state_radius, 2)), single(np.ones((100, INPUTS)))
    ends = []
    for start, share in zip(x, (1.0, 0.5), strict=True):
        states, left = halfway(system, start, u, jnp.asarray(share, jnp.float32))
        assert (float(left) <= (gap.residual or 0.0)) == (share == 1.0)
        ends.append(np.asarray(states[-1], np.float64))
    assert distances(answer, ends[0] - ends[1]) > gap.gap


@eqx.filter_jit
def halfway(
    system: ImplicitMap, start: jax.Array, u: jax.Array, share: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A run that takes a share of every step, and stops a little beside it; its residual."""

    def step(x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = x + share * (system.advance(0, x, u) - x) + (1 - share) * 0.01
        return x, x

    # With the whole share, a float32 sum may differ from what the solver returned.
    exactly = simulate(system, start, u).states
    states = jnp.where(share == 1, exactly, jax.lax.scan(step, start, u)[1])
    return states, largest_residual(system, start, states, u)


def test_statements_where_the_equation_is_hard():
    """Long steps, slow rates, a wide metric: a statement that runs obey, or none."""
    rng, said = np.random.default_rng(9), 0
    for activation, form in (("relu", "hopfield"), ("softplus", "firing_rate")):
        for share, step in ((0.999, 0.1), (0.5, 1e4)):
            flow = rate(rng, 3, activation, form, share)
            wide = np.exp(rng.uniform(-4, 4, 3))
            # The same network in other units of its states, and the metric that goes with them.
            weight = np.asarray(flow.weight) * wide / wide[:, None]
            wider = eqx.tree_at(lambda f: f.weight, flow, single(weight))
            for own, scale in ((flow, np.ones(3)), (wider, wide)):
                system = at_step(own, step)
                metric = DiagonalMetric(jnp.asarray(scale))
                answer = certify(system, metric=metric)
                if not isinstance(answer, Certificate) or answer.float32 is None:
                    continue
                gap, said = statement(answer), said + 1
                x = in_ball(rng, answer, gap.state_radius, 4)
                u = single(rng.choice([-1, 1], (20, INPUTS)))
                states, left = run(system, single(x), u)
                held = np.asarray(left) <= (gap.residual or 0.0)
                assert (distances(answer, states)[held] <= gap.state_radius).all()
                exact = advance(double(system), double(x), jnp.tile(double(u[:1]), (4, 1)))
                slip = distances(answer, np.asarray(states[:, 0], np.float64) - np.asarray(exact))
                assert (slip[held] <= gap.rounding).all() and held.any()
    assert said >= 5


def test_no_statement_where_none_is_proved():
    rng = np.random.default_rng(2)
    flow = rate(rng, 2, "tanh", "hopfield")
    units = GatedRate(single([0.5, -0.5]), single(np.ones((2, 2))), slowest=0.1, fastest=0.5)
    without = {
        "float64": double(at_step(flow, 0.5)),
        "a gated flow": discretise(units, BackwardEuler(0.5)),
        "a composite": discretise(
            Composite((flow, flow), single(np.zeros((4, 4)))), BackwardEuler(0.5)
        ),
        "a subnormal input weight": at_step(
            eqx.tree_at(lambda f: f.input_weight, flow, single(np.full((2, 2), 2.0**-127))), 0.5
        ),
        "an enormous step": at_step(flow, 2.0**30),
        "a subnormal weight": at_step(
            eqx.tree_at(lambda f: f.bias, flow, single([1e-40, 0.0])), 0.5
        ),
        "a short time constant": at_step(
            eqx.tree_at(lambda f: f.time_constant, flow, single(2.0**-27)), 0.5
        ),
    }
    for name, system in without.items():
        answer = certify(system)
        assert isinstance(answer, Certificate) and answer.float32 is None, name
    assert certified(at_step(flow, 0.5), bound=1e38).float32 is None
    assert isinstance(certified(at_step(flow, 0.5)).float32, Float32Gap)


def test_the_ball_of_a_bounded_drive_is_smaller_than_that_of_contraction():
    """A slow rate: what leak and tanh allow, not inputs over the rate."""
    network = RateNetwork(single([[0.99]]), single([[0.0, 1.0]]))
    answer = certified(at_step(network, 0.5))
    assert answer.factor is not None and answer.factor > 0.99
    assert statement(answer).state_radius < 3
    unbounded = RateNetwork(single([[0.99]]), single([[0.0, 1.0]]), activation="relu")
    assert statement(certified(at_step(unbounded, 0.5))).state_radius > 90


def test_a_quadratic_metric_and_polyhedral_ones_carry_the_statement():
    rng = np.random.default_rng(8)
    flow = rate(rng, 3, "tanh", "firing_rate", 0.5)
    form = np.eye(3) + 0.1
    metrics = (
        QuadraticMetric(jnp.asarray(form)),
        SumMetric(jnp.ones(3)),
        MaximumMetric(jnp.ones(3)),
    )
    # In the last two, sums of rows or columns count.
    flow = eqx.tree_at(lambda f: f.weight, flow, 0.5 * flow.weight)
    for metric in metrics:
        answer = certify(at_step(flow, 0.5), metric=metric)
        assert isinstance(answer, Certificate), answer.reason
        gap = statement(answer)
        x = in_ball(rng, answer, gap.state_radius, 8)
        u = single(rng.choice([-1, 1], (8, INPUTS)))
        reached = advance(at_step(flow, 0.5), single(x), u)
        exact = advance(double(at_step(flow, 0.5)), double(x), double(u))
        assert (
            distances(answer, np.asarray(reached, float) - np.asarray(exact)) <= gap.rounding
        ).all()
        assert (distances(answer, reached) <= gap.state_radius).all()


def test_the_condition_is_told():
    answer = certified(at_step(rate(np.random.default_rng(0), 2, "tanh", "hopfield"), 0.5))
    gap = statement(answer)
    words, told = gap.claim().split(", if no step leaves a residual above ")
    assert 0 <= (gap.residual or 0.0) - float(told) <= 1e-5 * float(told)
    assert "two runs of one input" in words and gap.claim() in explain(answer)
    solved = certify(discretise(RateNetwork(single([[0.5]])), ExplicitEuler(0.5)))
    assert isinstance(solved, Certificate) and solved.float32 is not None
    assert solved.float32.residual is None and "residual" not in solved.float32.claim()


def test_what_layers_and_parts_leave_is_not_bounded():
    """Stacks and composites of implicit maps have no statement: no number says what each leaves."""
    flow = rate(np.random.default_rng(1), 2, "tanh", "hopfield")
    part = certified(at_step(flow, 0.5))
    assert part.float32 is not None
    assert local_step(part, exact_inputs(INPUTS, 1.0), 2.0**-19) is None


def test_the_largest_residual_of_a_run_is_that_of_its_worst_step():
    system = at_step(rate(np.random.default_rng(5), 3, "relu", "hopfield"), 0.5)
    x, u = single([1.0, -2.0, 0.5]), single(np.ones((6, INPUTS)))
    states = simulate(system, x, u).states
    before = jnp.concatenate([x[None], states[:-1]])
    each, largest = jnp.abs(judge(system, before, states, u)), eqx.filter_jit(largest_residual)
    assert float(largest(system, x, states, u)) == float(each.max())
    moved = states.at[3, 1].add(0.5)
    found = largest(system, x, moved, u)
    assert found.dtype == jnp.float32 and 0.25 < float(found) < 2
    assert float(largest(system, x, states[:0], u[:0])) == 0
    for value in (np.nan, np.inf, -np.inf, 2.0**33):
        for place in ((0, 0), (5, 2)):
            spoiled = states.at[place].set(value)
            assert float(largest(system, x, spoiled, u)) == np.inf
    assert float(largest(system, x.at[0].set(np.nan), states, u)) == np.inf
    assert float(largest(system, x, states, u.at[2, 0].set(np.nan))) == np.inf


def test_states_beyond_the_farthest_are_the_same_for_proof_and_run():
    assert _FARTHEST == FARTHEST == CHECKED


def test_runs_that_do_not_fit_are_refused():
    system = at_step(rate(np.random.default_rng(5), 3, "relu", "hopfield"), 0.5)
    x, u = jnp.zeros(3, jnp.float32), jnp.zeros((4, INPUTS), jnp.float32)
    states = jnp.zeros((4, 3), jnp.float32)
    step = discretise(RateNetwork(jnp.eye(3)), ExplicitEuler(0.5))
    for given in (
        (system, x, states, u[:3]),
        (system, x, states, None),
        (system, x[:2], states, u),
        (system, x, states[:, :2], u),
        (step, x, states, u),
    ):
        with pytest.raises(InputProblem, match="do not fit|backward Euler"):
            largest_residual(*given)  # pyright: ignore[reportArgumentType]
