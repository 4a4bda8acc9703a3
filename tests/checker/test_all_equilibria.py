"""The checker's relaxations and its search: nothing is lost, and lists that lie are refused."""

import base64
from typing import Any

import numpy as np
import pytest
from flint import arb, arb_mat

from limitset.checker import _all_equilibria as checked
from limitset.checker._document import NotProved
from limitset.checker._field import Field, expand
from limitset.checker._relaxation import System, intersected, relax_tanh, shrink
from limitset.checker._search_space import SearchSpace, search_space

RNG = np.random.default_rng(3)
FORMS = ("hopfield", "firing_rate")
ACTIVATIONS = ("tanh", "sigmoid")


def vector(values: np.ndarray) -> list[arb]:
    return [arb(float(value)) for value in values]


def matrix(values: np.ndarray) -> arb_mat:
    rows, columns = values.shape
    return arb_mat(rows, columns, values.ravel().tolist())


def box(low: np.ndarray, high: np.ndarray) -> list[arb]:
    return [a.union(b) for a, b in zip(vector(low), vector(high), strict=True)]


def inside(point: np.ndarray, within: list[arb]) -> bool:
    return all(arb(float(p)).overlaps(w) for p, w in zip(point, within, strict=True))


def test_chords_hold_the_function_on_every_interval():
    ends = [*RNG.normal(0, 2, (300, 2)), (-1e-9, 1e-9), (3.0, 3.0), (-40.0, 40.0), (30.0, 31.0)]
    ends += [(0.0, 1e-320), (-1e5, -1.0), (700.0, 1e300), (0.5, 0.5 + 1e-16), (-1e-200, 2.0)]
    for a, b in ends:
        low, high = min(a, b), max(a, b)
        slope, rest, values = relax_tanh(arb(low).union(arb(high)))
        assert slope.is_exact() and 0 <= slope and slope <= 1
        assert rest.is_finite() and values.is_finite()
        for share in (0.0, 1e-3, 0.2, 0.5, 0.77, 1.0):
            y = arb(low) + share * (arb(high) - arb(low))
            assert (y.tanh() - slope * y).overlaps(rest) and y.tanh().overlaps(values)
    # Of third order around 0, and second elsewhere.
    assert float(relax_tanh(arb(0, 0.01))[1].rad()) < 1e-6
    assert float(relax_tanh(arb(1, 0.01))[1].rad()) < 1e-4


def field(n: int, form: str, activation: str, seed: int = 0, radius: float = 0.0) -> Field:
    rng = np.random.default_rng(seed)
    gain = 3.0 if activation == "tanh" else 14.0
    W, b = gain * rng.standard_normal((n, n)) / np.sqrt(n), 0.1 * rng.standard_normal(n)
    ball = arb(0, radius)
    weight = arb_mat(n, n, [w + ball for w in matrix(W).entries()])
    return Field(weight, matrix(0 * W), vector(b), arb(0.75), arb(1), form, activation)


def newton(network: Field, start: np.ndarray) -> np.ndarray | None:
    """A limit of Newton's method in floats."""
    x, value = start, np.full(len(start), np.inf)
    for _ in range(60):
        jet = expand(network, vector(x))
        J = np.array([[float(e) for e in row] for row in jet.jacobian().tolist()])
        value = np.array([float(e) for e in jet.value()])
        x = x - np.linalg.lstsq(J, value, rcond=None)[0]
        if not np.abs(x).max() < 1e6:
            return None
    return x if np.abs(value).max() < 1e-12 else None


def tensor(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(array.astype("<f8").tobytes()).decode()
    return {"dtype": "float64", "shape": list(array.shape), "data": data}


def unknowns(space: SearchSpace, state: np.ndarray) -> np.ndarray:
    return np.array([float(z) for z in space.unknowns(vector(state))])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_boxes_shrink_but_keep_every_zero(form: str, activation: str):
    network = field(3, form, activation)
    space = search_space(network, None)
    starts = RNG.uniform(-3, 3, (20, 3))
    zeros = [unknowns(space, x) for x in (newton(network, s) for s in starts) if x is not None]
    assert zeros
    shrunk = 0
    for zero in zeros:
        assert inside(zero, space.system.everywhere())
        for width in (3.0, 0.5, 0.1, 1e-3):
            low = zero - width * RNG.uniform(0.1, 1, 3)
            start = box(low, low + width + 1e-12)
            if inside(zero, start):
                cut = shrink(space.system, start)
                assert cut is not None and inside(zero, cut.box)
                shrunk += all(c.rad() < 0.5 * s.rad() for c, s in zip(cut.box, start, strict=True))
                assert len(cut.weights) == 3 and min(cut.weights) >= 0
    assert shrunk > len(zeros)
    # A zero on the border of a box counts; boxes far away have none.
    assert shrink(space.system, box(zeros[0], zeros[0] + 1.0)) is not None
    assert shrink(space.system, box(np.full(3, 1e3), np.full(3, 2e3))) is None


def member(network: Field, radius: float, rng: np.random.Generator) -> Field:
    """A network on the border of a ball of weights."""
    away = [float(w) + radius * rng.choice([-1.0, 1.0]) for w in network.weight.entries()]
    return network._replace(weight=arb_mat(3, 3, away))


@pytest.mark.parametrize("form", FORMS)
def test_boxes_keep_the_zeros_of_all_networks_in_a_ball(form: str):
    radius, rng, found = 1e-3, np.random.default_rng(11), 0
    whole, middle = field(3, form, "tanh", radius=radius), field(3, form, "tanh")
    space = search_space(whole, None)
    for start in rng.uniform(-3, 3, (20, 3)):
        near = member(middle, radius * (1 - 1e-9), rng)
        x = newton(near, start)
        if x is not None:
            zero = unknowns(search_space(near, None), x)
            for width in (1.0, 0.1, 1e-2):
                cut = shrink(space.system, box(zero - width, zero + 0.7 * width))
                assert cut is not None and inside(zero, cut.box)
                again = shrink(space.system, cut.box)
                assert again is not None and inside(zero, again.box)
                found += 1
    assert found > 10


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_range_of_the_weights_keeps_every_equilibrium(form: str, activation: str):
    """With factors that miss a part of the weights."""
    rng = np.random.default_rng(5)
    U, V = rng.standard_normal((5, 2)), rng.standard_normal((2, 5))
    U *= 1.0 if activation == "tanh" else 4.0
    W = U @ V + 1e-6 * rng.standard_normal((5, 5))
    b = 0.1 * rng.standard_normal(5)
    network = Field(matrix(W), matrix(0 * W), vector(b), arb(0.75), arb(1), form, activation)

    space = search_space(network, {"left": tensor(U), "right": tensor(V)})
    assert len(space.system.d) == 2
    found = [newton(network, s) for s in rng.uniform(-3, 3, (20, 5))]
    states = [x for x in found if x is not None]
    assert states
    for x in states:
        z = space.unknowns(vector(x))
        assert all(a.overlaps(b) for a, b in zip(z, space.system.everywhere(), strict=True))
        around = [e + arb(0, 1e-9) for e in z]
        cut = shrink(space.system, around)
        assert cut is not None
        assert all(a.overlaps(b) for a, b in zip(vector(x), space.states(cut.box), strict=True))
    for bad in ({"left": tensor(U), "right": tensor(V.T)}, {"left": tensor(U)}, {}, []):
        with pytest.raises(NotProved):
            search_space(network, bad)
    for left, right in ((U[:, :0], V[:0]), (U[0], V), (np.ones((5, 6)), np.ones((6, 5)))):
        with pytest.raises(NotProved, match="factors"):
            search_space(network, {"left": tensor(left), "right": tensor(right)})


def test_the_bound_of_all_equilibria():
    """`|leak x - b| <= sum |W|` in Hopfield form, `|leak x| <= 1` after the activation."""
    W, b = np.array([[1.0, -2.0], [0.5, 0.25]]), np.array([0.5, -1.0])
    for form in FORMS:
        network = Field(matrix(W), matrix(W), vector(b), arb(0.5), arb(1), form, "tanh")
        space = search_space(network, None)
        middle = b / 0.5 if form == "hopfield" else b
        for z, m, reach in zip(space.system.everywhere(), middle, (3.0, 0.75), strict=True):
            assert abs(float((z - m).abs_upper()) - reach / 0.5) < 1e-6
        states = space.states(space.system.everywhere())
        bound = 8.0 if form == "hopfield" else 2.0
        assert all(float(x.abs_upper()) <= bound + 1e-6 for x in states)


def test_empty_intersections_are_certain():
    one, other = [arb(0, 1), arb(0, 1)], [arb(3, 1), arb(0, 1)]
    assert intersected(one, other) is None
    touching = intersected(one, [arb(2, 1), arb(0, 5)])
    assert touching is not None and touching[0].overlaps(arb(1))
    lost = intersected(one, [arb("nan"), arb(0)])
    assert lost is not None


def test_a_ball_of_slopes_moves_the_zero():
    """`z = a tanh z + d` nearly has `z = d / (1 - a)`, however straight tanh is there."""
    ball = System(arb(1), arb_mat([[arb(0.5, 0.1)]]), matrix(np.eye(1)), [arb(0)], [arb(1e-3)])
    cut = shrink(ball, [arb(0, 0.01)])
    assert cut is not None
    for a in (0.4, 0.5, 0.6):
        zero = arb(1e-3) / (1 - arb(a))
        for _ in range(200):
            zero = arb(a) * zero.mid().tanh() + arb(1e-3)
        assert zero.overlaps(cut.box[0])
    assert float(cut.box[0].rad()) < 0.005


def test_singular_relaxations_still_cut():
    """Where `leak - A alpha C` is singular, only the image of the values is left."""
    system = System(arb(1), matrix(np.eye(1)), matrix(np.eye(1)), [arb(0)], [arb(0)])
    cut = shrink(system, [arb(0, 1e-300)])
    assert cut is not None and cut.box[0].overlaps(arb(0))
    flat = System(arb(1), matrix(np.zeros((1, 1))), matrix(np.eye(1)), [arb(0)], [arb(2)])
    cut = shrink(flat, [arb(0, 5)])
    assert cut is not None and float(cut.box[0].rad()) < 1e-9


def test_work_is_limited(monkeypatch: pytest.MonkeyPatch):
    network = field(6, "hopfield", "tanh")
    space = search_space(network, None)
    monkeypatch.setattr(checked, "_MOST_SEARCH", 20_000)
    with pytest.raises(checked.TooMuchWork, match="more work"):
        checked._search(space, None, [])
