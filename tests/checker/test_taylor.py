"""The checker's Taylor steps hold the flow and its derivative, and refuse long steps."""

import numpy as np
import pytest
from flint import arb, arb_mat, ctx

from limitset.checker import _taylor
from limitset.checker._document import NotProved
from limitset.checker._field import Field
from limitset.checker._taylor import Flow, end_of, flow_of, follow
from oscillators import recipe
from proofs.arb_flow import flow_in_arb

START, STEP, LEAK = [0.75, -1.5, 0.25], 0.0625, 0.75


def flow(firing: bool, spread: float = 0.0) -> Flow:
    W, b = recipe(3)
    weight = arb_mat(3, 3, [arb(w, spread) for w in W.ravel().tolist()])
    bias, form = list(map(arb, b.tolist())), "firing_rate" if firing else "hopfield"
    return flow_of(Field(weight, arb_mat(3, 3), bias, arb(LEAK), arb(1), form, "tanh"))


def truth(firing: bool, start: list[arb] | list[float], time: float | arb) -> list[arb]:
    return flow_in_arb(*recipe(3), LEAK, firing, start, time)


@pytest.fixture(autouse=True)
def high_precision():
    with ctx.workprec(200):
        yield


@pytest.mark.parametrize("firing", [False, True])
def test_the_orbit_is_held_at_all_times(firing: bool) -> None:
    segment = follow(flow(firing), list(map(arb, START)), arb(STEP))
    for part in (1.0, 0.25, 0.0):
        reference = truth(firing, START, STEP * part)
        for ball, value in zip(segment.at(arb(part)), reference, strict=True):
            assert ball.contains(value) and ball.rad() < 1e-25
    end = end_of(flow(firing), list(map(arb, START)), arb(STEP))
    assert [str(v) for v in end] == [str(v) for v in segment.at(arb(1))]


@pytest.mark.parametrize("firing", [False, True])
def test_the_derivative_agrees_with_differences(firing: bool) -> None:
    slope = follow(flow(firing), list(map(arb, START)), arb(STEP)).slope
    delta = arb(2) ** -60
    for j in range(3):
        ends = []
        for sign in (1, -1):
            moved = [arb(v) + sign * delta * (i == j) for i, v in enumerate(START)]
            ends.append(truth(firing, moved, STEP))
        for i, (p, q) in enumerate(zip(*ends, strict=True)):
            # The next term of the difference is of the size of delta^2.
            assert abs((p - q) / (2 * delta) - slope[i, j]) < 1e-20
            assert slope[i, j].rad() < 1e-20


@pytest.mark.parametrize("firing", [False, True])
def test_a_box_holds_what_starts_in_it(firing: bool) -> None:
    """Starts, times and weights in balls, and the derivative as well."""
    rng, spread = np.random.default_rng(5), 1e-4
    wide = flow(firing, spread)
    box = follow(wide, [arb(v, spread) for v in START], arb(STEP, 1e-6))
    W, b = recipe(3)
    for _ in range(4):
        start = (START + spread * rng.choice([-0.999, 0.999], 3)).tolist()
        V = W + spread * rng.choice([-0.999, 0.999], (3, 3))
        reference = flow_in_arb(V, b, LEAK, firing, start, STEP + 0.999e-6)
        assert all(p.contains(q) for p, q in zip(box.at(arb(1)), reference, strict=True))
        member = follow(
            wide._replace(field=wide.field._replace(weight=arb_mat(3, 3, V.ravel().tolist()))),
            list(map(arb, start)),
            arb(STEP),
        )
        each = zip(box.slope.entries(), member.slope.entries(), strict=True)
        assert all(p.contains(q) for p, q in each)


def test_what_is_left_out_is_bounded_where_it_matters() -> None:
    """With long steps the bound is large, and still true; then there is none."""
    radii = []
    for step in (0.03125, 0.0625, 0.125):
        segment = follow(flow(False), list(map(arb, START)), arb(step))
        reference = truth(False, START, step)
        for ball, value in zip(segment.at(arb(1)), reference, strict=True):
            assert ball.contains(value)
        radii.append(max(float(r) for r in segment.rest))
    assert radii[0] < 1e-30 and 1e-15 < radii[2]
    for step in (1.0, 1e300):
        with pytest.raises(NotProved, match="too long"):
            follow(flow(False), list(map(arb, START)), arb(step))
    with pytest.raises(NotProved, match="too long"):
        follow(flow(True), [arb("nan")] * 3, arb(STEP))


@pytest.mark.parametrize("firing", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_few_terms_leave_out_no_more_than_the_bound(
    firing: bool, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(order)
    starts = (2 * rng.standard_normal((10, 3))).tolist()
    precise = [follow(flow(firing), list(map(arb, start)), arb(2**-8)) for start in starts]
    monkeypatch.setattr(_taylor, "_ORDER", order)
    for start, truth_of in zip(starts, precise, strict=True):
        rough = follow(flow(firing), list(map(arb, start)), arb(2**-8))
        pairs = [*zip(rough.at(arb(1)), truth_of.at(arb(1)), strict=True)]
        pairs += zip(rough.slope.entries(), truth_of.slope.entries(), strict=True)
        assert all(ball.contains(value) for ball, value in pairs)
        # The errors are not idle: without them nothing is held.
        polynomial = [v.mid() for v in rough.at(arb(1))]
        assert not all(p.overlaps(v) for p, v in zip(polynomial, truth_of.at(arb(1)), strict=True))
