"""Fixed points of maps, and the stable self-replicators of nonlinear particles."""

import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset.dynamics import ExplicitEuler, discretise
from limitset.networks import RELU, SIGMOID, SOFTPLUS, TANH, Activation, RateNetwork
from limitset.proofs import MapFixedPoint, Reason, Refusal, Stability, prove_map_fixed_point
from limitset.replication import ParticleSpec, PositionCode, SelfApplication
from nonlinear_replicators import REPLICATORS, settle

pytestmark = pytest.mark.usefixtures("no_shape_checks")


class Poly(AbstractMap):
    """`x -> a x + b x^2 + c`, entry by entry, in one dimension or more."""

    a: float
    b: float
    c: float
    size: int = 1

    @property
    def state_size(self) -> int:
        return self.size

    @property
    def input_size(self) -> int:
        return 0

    def advance(self, n, x, u):
        return self.a * x + self.b * x * x + self.c


def prove(map_: AbstractMap, near: np.ndarray, **options: float) -> MapFixedPoint:
    answer = prove_map_fixed_point(map_, near, **options)
    assert isinstance(answer, MapFixedPoint), answer
    return answer


def test_a_quadratic_map_has_a_stable_and_an_unstable_fixed_point():
    """`0.5 x + x^2`: 0 with slope 0.5, and 0.5 with slope 1.5."""
    map_ = Poly(0.5, 1.0, 0.0)
    zero, half = prove(map_, np.array([0.01])), prove(map_, np.array([0.52]))
    assert zero.stability is Stability.STABLE and not zero.excludes_zero
    assert half.stability is Stability.UNSTABLE and half.excludes_zero
    assert half.instability is not None and 1 <= half.instability.bound <= 1.5
    assert half.box.lower()[0] <= 0.5 <= half.box.upper()[0]
    # 0.5 is on the edge of the basin of 0.
    assert 0.01 < zero.basin_radius < 0.5 and half.basin_radius == 0
    assert zero.uniqueness_radius < 0.5


def test_a_slope_of_minus_one_stays_undecided():
    answer = prove_map_fixed_point(Poly(-1.0, 0.0, 1.0), np.array([0.5]))
    assert isinstance(answer, MapFixedPoint) and answer.stability is Stability.UNDECIDED


def test_a_slope_of_one_is_refused():
    assert isinstance(prove_map_fixed_point(Poly(1.0, 0.0, 0.0), np.array([0.5])), Refusal)


def test_every_start_in_the_basin_arrives():
    map_ = Poly(0.5, 1.0, 0.05, size=2)
    point = prove(map_, np.array([0.14, 0.14]))
    rng, reach = np.random.default_rng(0), point.basin_radius
    assert reach > 0
    for _ in range(50):
        off = rng.standard_normal(2)
        x = point.center + 0.999 * reach * off / np.linalg.norm(off)
        for _ in range(4000):
            x = 0.5 * x + x * x + 0.05
        assert np.abs(x - point.center).max() < 1e-9


def test_what_cannot_be_used_is_refused():
    map_ = Poly(0.5, 1.0, 0.0)
    with pytest.raises(InputProblem, match="without inputs"):
        prove_map_fixed_point(map_, np.zeros(2))
    driven = discretise(RateNetwork(jnp.eye(1), jnp.ones((1, 1))), ExplicitEuler(0.5))
    with pytest.raises(InputProblem, match="without inputs"):
        prove_map_fixed_point(driven, np.zeros(1))
    with pytest.raises(InputProblem, match="NaN"):
        prove_map_fixed_point(map_, np.array([np.nan]))
    far = prove_map_fixed_point(map_, np.array([0.45]), within=1e-3)
    assert isinstance(far, Refusal) and far.reason is Reason.NOT_NEAR
    wrong = prove_map_fixed_point(map_, np.array([0.4]), radius=1e-3)
    assert isinstance(wrong, Refusal) and wrong.reason is Reason.KRAWCZYK_NOT_CONTAINED


@pytest.mark.parametrize("name", REPLICATORS)
def test_organism_stable_nonzero_replicators_exist(name: str):
    """No linear particle has one: these are proved, for three activations."""
    kept = REPLICATORS[name]
    point = prove(SelfApplication(kept.spec), kept.weights, within=1e-9)
    assert point.stability is Stability.STABLE and point.excludes_zero
    assert np.ptp(np.abs(point.center)) > 0.02, "not one number in every place"
    assert point.uniqueness_radius > 1e-3
    if kept.basin:
        assert point.basin_radius > kept.basin


@pytest.mark.parametrize("name", REPLICATORS)
def test_the_replicators_attract_in_floats(name: str):
    kept = REPLICATORS[name]
    rng = np.random.default_rng(0)
    start = kept.weights + 1e-3 * rng.standard_normal((20, kept.spec.weight_count))
    ended = np.asarray(settle(kept.spec, jnp.asarray(start), 400))
    assert np.abs(ended - kept.weights).max() < 1e-9


@pytest.mark.parametrize("name", REPLICATORS)
def test_another_activation_or_code_has_other_replicators(name: str):
    kept = REPLICATORS[name]
    others: list[tuple[Activation, PositionCode]] = [
        (TANH if kept.spec.activation != TANH else SIGMOID, kept.spec.position),
        (kept.spec.activation, PositionCode.PERLAYER),
    ]
    for activation, code in others:
        spec = ParticleSpec(4, kept.spec.widths, code, activation)
        answer = prove_map_fixed_point(SelfApplication(spec), kept.weights, radius=1e-6)
        assert isinstance(answer, Refusal)


def test_perturbed_weights_are_no_fixed_point():
    kept = REPLICATORS["softplus"]
    weights = kept.weights.copy()
    weights[3] += 2e-6
    answer = prove_map_fixed_point(SelfApplication(kept.spec), weights, radius=1e-6)
    assert isinstance(answer, Refusal)


def test_zero_is_a_fixed_point_but_no_replicator_to_speak_of():
    """The last layer has no bias: zero weights answer zero, whatever the activation."""
    for activation, stable in ((TANH, True), (SIGMOID, False), (SOFTPLUS, False)):
        spec = ParticleSpec(4, (3, 3), activation=activation)
        point = prove(SelfApplication(spec), np.zeros(spec.weight_count))
        assert not point.excludes_zero
        assert (point.stability is Stability.STABLE) == stable


def test_kinks_are_refused_where_they_matter():
    spec = ParticleSpec(4, (2,), activation=RELU)
    answer = prove_map_fixed_point(SelfApplication(spec), np.zeros(spec.weight_count))
    assert isinstance(answer, Refusal)
