"""All equilibria: the counts that are known, completeness, and searches that must not finish."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import RateNetwork
from limitset.proofs._all_equilibria import AllEquilibria, prove_all_equilibria
from limitset.proofs._elementary import tanh
from limitset.proofs._equilibrium import Stability
from limitset.proofs._equilibrium_search import search_space
from limitset.proofs._rate_field import rate_field
from limitset.proofs._refusal import Reason
from proofs.arb_network import equilibrium_in_arb, holds

pytestmark = pytest.mark.usefixtures("no_shape_checks")

FORMS = ("hopfield", "firing_rate")
# Units, gain and number of equilibria, for the seed that equals the number of units.
KNOWN_COUNTS = [(2, 2, 1), (3, 2, 3), (4, 2, 3), (5, 2, 1), (6, 2, 3), (8, 2, 7), (10, 1.5, 1)]


def recipe(n: int, gain: float, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n if seed is None else seed)
    return gain * rng.standard_normal((n, n)) / np.sqrt(n), 0.1 * rng.standard_normal(n)


def network(W: np.ndarray, b: np.ndarray | None = None, **options) -> RateNetwork:
    return RateNetwork(jnp.asarray(W), bias=None if b is None else jnp.asarray(b), **options)


def centers(found: AllEquilibria) -> np.ndarray:
    return np.array([e.center for e in found.equilibria])


def is_same_set(a: np.ndarray, b: np.ndarray, within: float = 1e-9) -> bool:
    """Whether two lists of points agree up to order."""
    distance = np.abs(a[:, None] - b[None]).max(axis=2)
    return len(a) == len(b) and bool(
        (distance.min(axis=0) < within).all() and (distance.min(axis=1) < within).all()
    )


@pytest.mark.parametrize(("n", "gain", "count"), KNOWN_COUNTS)
def test_T17_known_counts(n, gain, count):
    W, b = recipe(n, gain)
    found = prove_all_equilibria(network(W, b))
    assert found.complete and len(found.equilibria) == count
    assert found.index_sum == 1 and len(found.undecided) == 0
    # The plain interval search needs 93,000 boxes for 8 units.
    assert found.boxes < 500
    for e in found.equilibria:
        assert holds(e.center, e.radius, equilibrium_in_arb(W, b, 1.0, False, e.center))
        assert e.stability is not Stability.UNDECIDED and e.index in (1, -1)


def test_twelve_units():
    for gain, count in ((2, 3), (3, 3)):
        found = prove_all_equilibria(network(*recipe(12, gain)))
        assert found.complete and len(found.equilibria) == count and found.index_sum == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_no_equilibrium_that_newton_finds_is_missing(form, activation):
    """Every point that Newton's method reaches from many starts is on the complete list."""
    for seed in range(2):
        W, b = recipe(3, 3.0 if activation == "tanh" else 14.0, seed)
        leak = 0.6 + 0.2 * seed
        net = network(W, b, form=form, activation=activation, leak=leak)
        found = prove_all_equilibria(net)
        assert found.complete and found.index_sum == 1
        flow = rate_field(net)
        scale = (np.abs(W).sum() + 1) / leak if form == "hopfield" else 1 / leak
        reached = newton_from_many_starts(flow, scale, np.random.default_rng(seed))
        assert len(reached) > 0
        for point in reached:
            assert np.abs(centers(found) - point).max(axis=1).min() < 1e-9
        for e in found.equilibria:
            firing, logistic = form == "firing_rate", activation == "sigmoid"
            root = equilibrium_in_arb(W, b, leak, firing, e.center, logistic)
            assert holds(e.center, e.radius, root)


def newton_from_many_starts(flow, scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Limits of plain Newton's method in floats; those with a tiny residual only."""
    W, b, leak = flow.weight.mid, flow.bias.mid, flow.leak

    def phi(y):
        return np.tanh(y) if flow.is_tanh else 0.5 * (1 + np.tanh(y / 2))

    def slope(y):
        return 1 - np.tanh(y) ** 2 if flow.is_tanh else phi(y) * (1 - phi(y))

    reached, value = [], np.zeros(len(b))
    for start in scale * rng.uniform(-1, 1, (60, len(b))):
        x = start
        with np.errstate(all="ignore"):
            for _ in range(40):
                if flow.form == "hopfield":
                    value, J = W @ phi(x) + b - leak * x, W * slope(x)
                else:
                    y = W @ x + b
                    value, J = phi(y) - leak * x, slope(y)[:, None] * W
                x = x - np.linalg.lstsq(J - leak * np.eye(len(b)), value, rcond=None)[0]
                if not np.isfinite(x).all() or np.abs(x).max() > 1e6:
                    break
            else:
                if np.abs(value).max() < 1e-13:
                    reached.append(x)
    return reached


@pytest.mark.parametrize(("form", "n"), [("hopfield", 3), ("firing_rate", 2)])
def test_uncoupled_units_have_three_to_the_n_equilibria(form, n):
    found = prove_all_equilibria(network(2 * np.eye(n), form=form))
    assert found.complete and len(found.equilibria) == 3**n and found.index_sum == 1
    stable = [e for e in found.equilibria if e.stability is Stability.STABLE]
    assert len(stable) == 2**n
    largest = max(e.center[0] for e in found.equilibria)
    grid = np.array(list(itertools.product([-largest, 0.0, largest], repeat=n)))
    assert is_same_set(centers(found), grid)
    below = prove_all_equilibria(network(0.99 * np.eye(3), form=form))
    assert below.complete and len(below.equilibria) == 1


def test_the_fold_is_never_complete():
    """f = -x + 2 tanh x + b has one, two or three equilibria as b passes the fold."""
    fold = -0.532839975353552
    W = np.array([[2.0]])
    at = prove_all_equilibria(network(W, np.array([fold])))
    assert not at.complete and at.refusal is not None
    assert at.refusal.reason is Reason.SEARCH_NOT_FINISHED
    assert len(at.equilibria) == 1 and len(at.undecided) > 0
    lower, upper = at.undecided.lower(), at.undecided.upper()
    assert lower.min() < 0.881373587019 and upper.max() > 0.881373587020
    assert lower.min() > 0.8813 and upper.max() < 0.8815
    for shift, count in ((1e-6, 3), (-1e-6, 1)):
        beside = prove_all_equilibria(network(W, np.array([fold + shift])))
        assert beside.complete and len(beside.equilibria) == count and beside.index_sum == 1


def test_the_pitchfork_is_never_complete():
    found = prove_all_equilibria(network(np.eye(2)))
    assert not found.complete and not found.equilibria
    # All that is left lies near the origin, and the origin is left.
    assert (found.undecided.magnitude() < 1e-4).all()
    assert (found.undecided.mignitude() == 0).all(axis=1).any()


def test_a_limit_of_boxes_keeps_what_was_found():
    net = network(2 * np.eye(2))
    whole = prove_all_equilibria(net)
    part = prove_all_equilibria(net, max_boxes=3)
    assert not part.complete and part.refusal is not None
    assert part.refusal.reason is Reason.SEARCH_NOT_FINISHED
    lower, upper = part.undecided.lower(), part.undecided.upper()
    for e in whole.equilibria:
        is_known = any(np.abs(k.center - e.center).max() < 1e-9 for k in part.equilibria)
        is_left = ((lower <= e.center) & (e.center <= upper)).all(axis=1).any()
        assert is_known or is_left


@pytest.mark.parametrize("form", FORMS)
def test_boxes_restrict_the_list(form):
    net = network(*recipe(6, 2), form=form)
    whole = prove_all_equilibria(net)
    corner = np.zeros(6)
    low, high = np.full(6, -20.0), np.full(6, 20.0)
    low[0] = 0.0
    half = prove_all_equilibria(net, (low, high))
    expected = [e for e in whole.equilibria if e.center[0] > 0]
    assert half.complete and len(half.equilibria) == len(expected) < len(whole.equilibria)
    assert is_same_set(centers(half), np.array([e.center for e in expected]))
    away = prove_all_equilibria(net, (corner + 30.0, corner + 31.0))
    assert away.complete and not away.equilibria


def test_an_equilibrium_on_the_boundary_is_undecided():
    """x = 0 is an equilibrium; boxes that end exactly there cannot be told to hold it."""
    net = network(0.5 * np.eye(2))
    found = prove_all_equilibria(net, (np.zeros(2), np.ones(2)))
    assert not found.complete and len(found.undecided) == 1
    assert prove_all_equilibria(net, (-1e-6 * np.ones(2), np.ones(2))).complete


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_rank_two_networks_of_hundred_units(form, activation):
    rng = np.random.default_rng(1)
    U = rng.standard_normal((100, 2))
    W = U @ np.diag([3.0, 2.0]) @ U.T / 100 * (4 if activation == "sigmoid" else 1)
    b = -0.5 * W.sum(axis=1) if activation == "sigmoid" else 0.01 * rng.standard_normal(100)
    found = prove_all_equilibria(network(W, b, form=form, activation=activation))
    assert found.dimension == 2 and found.complete and found.index_sum == 1
    assert len(found.equilibria) >= 3
    e = found.equilibria[0]
    values = rate_field(network(W, b, form=form, activation=activation)).value(e.box)
    assert (values.lower() <= 0).all() and (values.upper() >= 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_rank_space_agrees_with_the_full_space(form):
    """A rank-one network of three units, and the same one with a full-rank ripple of 1e-7."""
    u, v = np.array([1.0, -0.5, 2.0]), np.array([0.7, 0.1, 1.0])
    W, b = np.outer(u, v), np.array([0.05, 0.0, -0.02])
    reduced = prove_all_equilibria(network(W, b, form=form, leak=0.8))
    ripple = 1e-7 * np.random.default_rng(0).standard_normal((3, 3))
    full = prove_all_equilibria(network(W + ripple, b, form=form, leak=0.8))
    assert (reduced.dimension, full.dimension) == (1, 3)
    assert reduced.complete and full.complete
    assert is_same_set(centers(reduced), centers(full), within=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_rank_space_keeps_what_its_factors_miss(form):
    """The state of an equilibrium lies among the states of its own z, defect included."""
    rng = np.random.default_rng(3)
    W = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 6))
    net = network(W + 1e-12 * rng.standard_normal((6, 6)), recipe(6, 2)[1], form=form)
    flow = rate_field(net)
    space = search_space(flow)
    assert space.system.size == 2
    equilibria = prove_all_equilibria(net).equilibria
    assert equilibria
    for e in equilibria:
        assert e.radius.max() < 1e-13
        z = space.system.A @ (tanh(e.box) if form == "hopfield" else e.box)
        states = space.states(z.reshape(1, 2))
        assert (np.abs(states.mid[0] - e.center) <= states.rad[0] + e.radius).all()


def test_relabelling_units_relabels_the_list():
    W, b = recipe(6, 2)
    order = np.random.default_rng(0).permutation(6)
    first = prove_all_equilibria(network(W, b))
    second = prove_all_equilibria(network(W[order][:, order], b[order]))
    assert is_same_set(centers(first)[:, order], centers(second))
    assert sorted(e.index for e in first.equilibria if e.index) == sorted(
        e.index for e in second.equilibria if e.index
    )


def test_T29_odd_networks_have_symmetric_lists():
    W, _ = recipe(5, 4)
    found = prove_all_equilibria(network(W))
    assert found.complete and len(found.equilibria) % 2 == 1
    assert is_same_set(centers(found), -centers(found))


def test_T23_the_list_for_a_ball_of_weights_holds_for_its_members():
    W, b = recipe(6, 2)
    whole = prove_all_equilibria(network(W, b), weight_radius=1e-5)
    assert whole.complete and len(whole.equilibria) == 3 and whole.index_sum == 1
    rng = np.random.default_rng(4)
    for _ in range(3):
        draw = 1e-5 * rng.uniform(-1, 1, (6, 7))
        single = prove_all_equilibria(network(W + draw[:, :6], b + draw[:, 6]))
        assert single.complete and len(single.equilibria) == 3
        for e in single.equilibria:
            inside = [
                (np.abs(e.center - w.center) <= w.radius + e.radius).all() for w in whole.equilibria
            ]
            assert sum(inside) == 1
    # The fold lies within the ball: nobody knows how many there are.
    near = network(np.array([[2.0]]), np.array([-0.5328]))
    assert not prove_all_equilibria(near, weight_radius=1e-3, max_boxes=2000).complete


def test_input_shifts_the_list():
    W, b = recipe(4, 2)
    B, u = np.ones((4, 1)), np.array([0.25])
    driven = prove_all_equilibria(network(W, b, input_weight=jnp.asarray(B)), input=u)
    shifted = prove_all_equilibria(network(W, b + 0.25))
    assert is_same_set(centers(driven), centers(shifted))


def test_unusable_arguments():
    good = network(0.5 * np.eye(2))
    with pytest.raises(InputProblem, match="leak"):
        prove_all_equilibria(network(np.eye(2), leak=0.0))
    with pytest.raises(InputProblem, match="corners"):
        prove_all_equilibria(good, (np.ones(2), np.zeros(2)))
    with pytest.raises(InputProblem, match="corners"):
        prove_all_equilibria(good, (np.zeros(3), np.ones(3)))
    with pytest.raises(InputProblem, match="max_boxes"):
        prove_all_equilibria(good, max_boxes=0)
    with pytest.raises(InputProblem):
        prove_all_equilibria(good, (np.full(2, np.nan), np.ones(2)))
    for bad in (np.nan, np.inf):
        with pytest.raises(InputProblem):
            prove_all_equilibria(network(np.array([[bad, 0.0], [0.0, 1.0]])))
        with pytest.raises(InputProblem):
            prove_all_equilibria(network(np.eye(2), np.array([bad, 0.0])))
    with pytest.raises(InputProblem, match="bound"):
        prove_all_equilibria(network(1e308 * np.ones((2, 2))))
