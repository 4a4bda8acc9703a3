"""Complete lists of positional replicators: counted, contained, and undecided where it is so."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.proofs import (
    AllPositionalReplicators,
    Ball,
    Reason,
    prove_all_positional_replicators,
)
from limitset.proofs._particle_forms import ParticleShape, kappa_forms, kappa_gradient
from limitset.proofs._positional_directions import Square
from limitset.proofs._positional_sizes import trinomial_roots
from limitset.replication import (
    ParticleSpec,
    PositionCode,
    SelfApplication,
    find_positional_replicators,
    kappa,
)

pytestmark = pytest.mark.usefixtures("no_shape_checks")
PERLAYER = ParticleSpec(position=PositionCode.PERLAYER)
RAW = ParticleSpec(position=PositionCode.RAW)
ONE = ParticleSpec(4, (3,))
LARGER = ParticleSpec(5, (3, 3))


def prove(
    spec: ParticleSpec, reach: float = 10.0, max_boxes: int = 500_000
) -> AllPositionalReplicators:
    return prove_all_positional_replicators(
        spec.positions, spec.shapes, reach=reach, max_boxes=max_boxes
    )


@pytest.fixture(scope="module")
def lists(no_shape_checks: None) -> dict[str, tuple[ParticleSpec, AllPositionalReplicators]]:
    return {"one": (ONE, prove(ONE))}


def test_organism_complete_lists(lists: dict):
    _judge(*lists["one"])


def _judge(spec: ParticleSpec, found: AllPositionalReplicators, count: int = 6) -> None:
    assert found.complete and found.refusal is None and len(found.fixed_points) == count
    for point in found.fixed_points:
        theta = spec.positions @ point.center
        moved = np.asarray(SelfApplication(spec).advance(0, jnp.asarray(theta), jnp.zeros(0)))
        scale = 1 + np.abs(theta).max() ** (spec.depth + 1)
        assert np.abs(moved - theta).max() < 1e-10 * scale
        # kappa_0 and L + kappa_0 are eigenvalues; the larger one is outside the unit circle.
        G = kappa_gradient(ParticleShape(spec.positions, spec.shapes), Ball.exact(theta)).mid
        slope = float(point.kappa_0.mid) * np.eye(len(theta))
        values = np.linalg.eigvals(slope + np.column_stack([theta, spec.positions]) @ G)
        first = float(point.kappa_0.mid)
        assert (np.abs(values - first) < 1e-5 * (1 + abs(first))).sum() >= spec.weight_count - 3
        assert np.abs(values - first - spec.depth).min() < 1e-5 * (1 + abs(first))
        assert 1 < point.expansion <= np.abs(values).max() * (1 + 1e-9)


def test_whatever_newton_finds_is_on_the_list(lists: dict):
    spec, proved = lists["one"]
    found = find_positional_replicators(spec, starts=400)
    for a in found.coefficients:
        if np.abs(a).max() <= proved.reach:
            away = [np.abs(point.center - a).max() for point in proved.fixed_points]
            assert min(away) < 1e-6 * (1 + np.abs(a).max()), a


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "count"),
    [(ParticleSpec(), 6), (PERLAYER, 5), (RAW, 6), (LARGER, 6), (ParticleSpec(5, (5, 5)), 5)],
    ids=["colmax", "perlayer", "raw", "three units", "five units"],
)
def test_organism_complete_lists_of_the_sources(spec: ParticleSpec, count: int):
    _judge(spec, prove(spec), count)


@pytest.mark.slow
def test_a_larger_reach_finds_more():
    """One of size 62 beside three small ones, for coordinates in Euclidean norm."""
    spec = ParticleSpec(5, (2, 2), PositionCode.L2COL)
    near, far = prove(spec), prove(spec, reach=100.0)
    assert near.complete and far.complete
    assert (len(near.fixed_points), len(far.fixed_points)) == (3, 4)


def test_a_smaller_reach_cuts_the_list(lists: dict):
    spec, found = lists["one"]
    sizes = sorted(np.abs(point.center).max() for point in found.fixed_points)
    few = prove(spec, reach=2.0)
    assert few.complete and len(few.fixed_points) == sum(size <= 2 for size in sizes) == 3


def test_a_replicator_on_the_edge_of_the_reach_is_not_decided(lists: dict):
    spec, found = lists["one"]
    size = float(np.abs(found.fixed_points[2].center).max())
    edge = prove(spec, reach=size)
    assert edge.refusal is not None
    assert not edge.complete and edge.refusal.reason is Reason.SEARCH_NOT_FINISHED


def test_what_is_not_finished_says_so():
    few = prove(RAW, max_boxes=100)
    assert not few.complete and "undecided" in str(few.refusal)
    endless = prove(RAW, reach=float("inf"), max_boxes=1000)
    assert not endless.complete


def test_coordinates_of_rank_two_are_refused():
    places = RAW.positions.copy()
    places[:, 2] = 2 * places[:, 1] - places[:, 0]
    found = prove_all_positional_replicators(places, RAW.shapes)
    assert not found.complete and "rank 3" in str(found.refusal) and not found.fixed_points


@pytest.mark.parametrize("reach", [0.0, -1.0, float("nan")])
def test_reaches_that_are_not_positive_are_refused(reach: float):
    with pytest.raises(InputProblem, match="reach is"):
        prove(RAW, reach=reach)


def test_huge_coordinates_are_refused():
    with pytest.raises(InputProblem, match="moderate size"):
        prove_all_positional_replicators(RAW.positions * 1e200, RAW.shapes)


def test_zero_is_never_on_the_list(lists: dict):
    for _, found in lists.values():
        for point in found.fixed_points:
            assert (point.box.mignitude() > 0).any()


def test_polynomials_on_squares_hold_samples():
    shape = ParticleShape(RAW.positions, RAW.shapes)
    forms, rng = kappa_forms(shape), np.random.default_rng(0)
    for chart in range(3):
        square = Square(forms, chart)
        middle = rng.uniform(-1, 1, (20, 2))
        boxes = square.enclosed(Ball(middle, np.full_like(middle, 0.1)))
        for share in (-1.0, 0.3, 1.0):
            points = middle + 0.1 * share * rng.choice([-1, 1], middle.shape)
            b = np.insert(points, chart, 1.0, axis=1)
            k = np.asarray(kappa(RAW, jnp.asarray(b @ RAW.positions.T)))
            others = [j for j in range(3) if j != chart]
            true = [k[:, 1 + j] - b[:, j] * k[:, 1 + chart] for j in others]
            true = np.array([*true, k[:, 0], k[:, 1 + chart]])
            slack = 1e-12
            assert (boxes.lower() - slack <= true).all() and (true <= boxes.upper() + slack).all()


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_roots_of_trinomials(depth: int):
    rng = np.random.default_rng(depth)
    for _ in range(6):
        lead, constant = 3 * rng.standard_normal(2)
        roots = trinomial_roots(depth, Ball.exact(lead), Ball.exact(constant), 0.0)
        polynomial = np.zeros(depth + 1)
        polynomial[0], polynomial[-2], polynomial[-1] = 1.0, -lead, -constant
        true = np.roots(polynomial)
        true = np.sort(true[np.abs(true.imag) < 1e-12].real)
        assert roots is not None and len(roots) == len(true)
        for root, number in zip(sorted(roots, key=lambda r: float(r.mid)), true, strict=True):
            assert abs(float(root.mid) - number) < 1e-9


def test_a_double_root_is_not_decided():
    # t^2 - 2 t + 1
    assert trinomial_roots(2, Ball.exact(2.0), Ball.exact(-1.0), 0.0) is None
    wide = Ball(np.asarray(2.0), np.asarray(np.inf))
    assert trinomial_roots(2, wide, Ball.exact(-1.0), 0.0) is None
