"""One Taylor step: flow and derivative are contained, however long the step."""

import numpy as np
import pytest
from flint import arb

from limitset._result import InputProblem
from limitset.networks import Form
from limitset.proofs._ball import Ball
from limitset.proofs._rate_field import RateField
from limitset.proofs._taylor import exponential, taylor_step
from proofs.arb_flow import flow_in_arb, velocity_in_arb
from proofs.arb_network import matrix, precision

FORMS = (Form.HOPFIELD, Form.FIRING_RATE)


def random_field(
    seed: int, n: int, form: Form, leak: float = 1.0, radius: float = 0.0
) -> tuple[RateField, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    W, b = 2.0 * rng.standard_normal((n, n)) / np.sqrt(n), 0.3 * rng.standard_normal(n)
    weight, bias = Ball(W, np.full_like(W, radius)), Ball(b, np.full_like(b, radius))
    return RateField(weight, bias, leak, form, True), W, b


def contains(ball: Ball, reference: list[arb]) -> bool:
    with precision():
        return all(
            not (abs(x - arb(float(m))) > arb(float(r)))
            for m, r, x in zip(ball.mid, ball.rad, reference, strict=True)
            if np.isfinite(r)
        )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("n", "leak"), [(1, 1.0), (2, 0.0), (3, 0.5), (5, 1.0)])
@pytest.mark.parametrize("h", [0.01, 0.05, 0.12])
def test_flow_holds_the_true_state(form: Form, n: int, leak: float, h: float) -> None:
    field, W, b = random_field(n, n, form, leak)
    scales = np.array([0.1, 1.0, 3.0, 30.0])
    starts = np.random.default_rng(7).standard_normal((n, 4)) * scales
    step = taylor_step(field, starts, h)
    flow = step.flow()
    assert np.isfinite(flow.rad[:, :3]).all() or h > 0.1
    for i in range(4):
        reference = flow_in_arb(W, b, leak, form is Form.FIRING_RATE, list(starts[:, i]), h)
        assert contains(flow[:, i], reference)


@pytest.mark.parametrize("form", FORMS)
def test_a_short_step_is_as_tight_as_its_rounding(form: Form) -> None:
    field, _, _ = random_field(4, 4, form)
    starts = np.random.default_rng(3).standard_normal((4, 20))
    step = taylor_step(field, starts, 0.02)
    assert step.flow().rad.max() < 1e-14
    assert step.derivative_errors(np.zeros(20), 0.0)[0].max() < 1e-13


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("h", [0.2, 0.4, 1.2, 400.0])
@pytest.mark.parametrize("order", [2, 24])
def test_a_long_step_does_not_lie(form: Form, h: float, order: int) -> None:
    field, W, b = random_field(11, 3, form)
    starts = np.random.default_rng(5).standard_normal((3, 3))
    step = taylor_step(field, starts, h, order)
    flow = step.flow()
    for i in range(3 if h < 10 else 0):
        reference = flow_in_arb(W, b, 1.0, form is Form.FIRING_RATE, list(starts[:, i]), h)
        assert contains(flow[:, i], reference)
    if h > 10:
        assert not np.isfinite(flow.rad).any()
        assert not np.isfinite(step.derivative_errors(np.zeros(3), 0.0)[0]).any()


def derivative_in_arb(
    W: np.ndarray, b: np.ndarray, leak: float, firing: bool, x: np.ndarray, h: float
) -> list[list[arb]]:
    """Columns by central differences of width 1e-20, off by about 1e-40."""
    columns = []
    with precision():
        width = arb(10) ** -20
        for j in range(len(x)):
            ends = [
                flow_in_arb(W, b, leak, firing, [arb(v) + s * (i == j) for i, v in enumerate(x)], h)
                for s in (width, -width)
            ]
            columns.append([(p - q) / (2 * width) for p, q in zip(*ends, strict=True)])
    return columns


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("h", [0.03, 0.1])
@pytest.mark.parametrize(
    ("radius", "late", "order"),
    [(0.0, 0.0, 24), (0.0, 0.0, 3), (1e-10, 1e-11, 24), (0.0, 1e-3, 24), (0.1, 0.01, 24)],
)
def test_derivatives_hold_for_all_starts_and_times(
    form: Form, h: float, radius: float, late: float, order: int
) -> None:
    field, W, b = random_field(2, 3, form, leak=0.5)
    rng = np.random.default_rng(9)
    starts = rng.standard_normal((3, 2))
    step = taylor_step(field, starts, h, order)
    slope_error, velocity_error = step.derivative_errors(np.full(2, radius), late)
    firing = form is Form.FIRING_RATE
    for i in range(2):
        # Nearly at the corner of the box and at the ends of the times.
        x = starts[:, i] + 0.999 * radius * rng.choice([-1, 1], 3)
        time = h + 0.999 * late * rng.choice([-1, 1])
        V = derivative_in_arb(W, b, 0.5, firing, x, time)
        with precision():
            for row in range(3):
                total = arb(0)
                for column in range(3):
                    entry = step.slope[row, i, column]
                    total += max(
                        abs(V[column][row] - float(entry.mid)) - float(entry.rad), arb(0)
                    ).mid()
                assert total <= arb(float(slope_error[i])) + arb(10) ** -35
            end = flow_in_arb(W, b, 0.5, firing, list(x), time)
            for row, exact in enumerate(velocity_in_arb(W, b, 0.5, firing, end)):
                ball = step.velocity[row, i]
                room = arb(float(ball.rad)) + arb(float(velocity_error[i]))
                assert abs(exact - float(ball.mid)) <= room


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", [3, 8, 24])
def test_at_rest_the_derivative_is_a_matrix_exponential(form: Form, order: int) -> None:
    """The state has no defect there, so nothing else covers that of the derivative."""
    W, h = np.random.default_rng(8).standard_normal((3, 3)), 0.1
    field = RateField(Ball.exact(W), Ball.exact(np.zeros(3)), 1.0, form, True)
    step = taylor_step(field, np.zeros((3, 1)), h, order)
    error = step.derivative_errors(np.zeros(1), 0.0)[0][0]
    assert error < 0.1 if order < 8 else error < 1e-3
    with precision():
        exact = ((matrix(W) - matrix(np.eye(3))) * arb(h)).exp()
        for row in range(3):
            total = arb(0)
            for column in range(3):
                entry = step.slope[row, 0, column]
                gap = abs(exact[row, column] - arb(float(entry.mid))) - arb(float(entry.rad))
                total += max(gap.mid(), arb(0))
            assert total < arb(float(error))


@pytest.mark.parametrize("form", FORMS)
def test_a_ball_of_weights_holds_its_members(form: Form) -> None:
    radius = 1e-3
    field, W, b = random_field(6, 3, form, radius=radius)
    start = np.array([[0.3], [-1.0], [0.8]])
    step = taylor_step(field, start, 0.05)
    flow, rng = step.flow(), np.random.default_rng(1)
    assert flow.rad.max() < 1e-3
    for _ in range(20):
        member = W + radius * rng.choice([-1, 1], W.shape), b + radius * rng.choice([-1, 1], 3)
        reference = flow_in_arb(*member, 1.0, form is Form.FIRING_RATE, list(start[:, 0]), 0.05)
        assert contains(flow[:, 0], reference)


def test_without_weights_the_flow_is_a_decay() -> None:
    field = RateField(Ball.exact([[0.0]]), Ball.exact([0.0]), 1.0, Form.HOPFIELD, True)
    step = taylor_step(field, np.array([[1.0, -2.0]]), 0.25)
    with precision():
        decay = arb(-0.25).exp()
        assert contains(step.flow()[:, 0], [decay]) and contains(step.flow()[:, 1], [-2 * decay])
    assert abs(step.slope.mid[0, 0, 0] - np.exp(-0.25)) < 1e-15
    assert step.flow().rad.max() < 1e-14


def test_the_exponential_bound_is_above_and_never_fails() -> None:
    z = np.array([0.0, 1e-300, 0.5, 10.0, 299.0])
    upper = exponential(Ball.exact(z)).upper()
    with precision():
        assert all(arb(float(u)) >= arb(float(v)).exp() for u, v in zip(upper, z, strict=True))
    assert not np.isfinite(exponential(Ball.exact(1e6)).rad)


def test_unusable_input_is_named() -> None:
    field, W, b = random_field(1, 2, Form.HOPFIELD)
    starts = np.zeros((2, 3))
    for h in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputProblem, match="step"):
            taylor_step(field, starts, h)
    with pytest.raises(InputProblem, match="NaN"):
        taylor_step(field, np.full((2, 3), np.nan), 0.1)
    with pytest.raises(InputProblem, match="shape"):
        taylor_step(field, np.zeros((3, 3)), 0.1)
    logistic = RateField(field.weight, field.bias, 1.0, Form.HOPFIELD, False)
    with pytest.raises(InputProblem, match="tanh"):
        taylor_step(logistic, starts, 0.1)
    doubtful = RateField(Ball.unverified(W), Ball.exact(b), 1.0, Form.HOPFIELD, True)
    with pytest.raises(InputProblem, match="unverified"):
        taylor_step(doubtful, starts, 0.1)
