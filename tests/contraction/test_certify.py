"""The verb `certify`: three kinds of answers, each with its reasons; refutations are true."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.families import FAMILIES, System
from limitset import Evidence, InputProblem
from limitset.contraction import (
    AbsoluteValue,
    Certificate,
    DiagonalMetric,
    QuadraticMetric,
    Refuted,
    Sector,
    SingularValue,
    SkewFeedback,
    Unknown,
    certify,
    compose,
    explain,
    skew_feedback,
)
from limitset.contraction._instability import refute
from limitset.dynamics import (
    AbstractFlow,
    ExplicitEuler,
    ExponentialEuler,
    SemiImplicit,
    discretise,
)
from limitset.networks import (
    Assembly,
    Composite,
    DiagonalRecurrence,
    Elman,
    GatedRate,
    RateNetwork,
    Relay,
    random_gru,
    random_lstm,
)

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def jacobian(system: System, state: np.ndarray) -> np.ndarray:
    def run(x: jax.Array) -> jax.Array:
        u = jnp.zeros(system.input_size)
        if isinstance(system, AbstractFlow):
            return system.velocity(0.0, x, u)
        return system.advance(0, x, u)

    return np.asarray(jax.jacfwd(run)(jnp.asarray(state)))


def assert_refutation_is_true(system: System, answer: Refuted) -> None:
    """The Jacobian at the witness is unstable, and the Lyapunov form shows it."""
    J = jacobian(system, answer.state)
    eigenvalues = np.linalg.eigvals(J)
    P, v = answer.form, answer.direction
    if isinstance(system, AbstractFlow):
        assert answer.bound >= 0 and eigenvalues.real.max() >= answer.bound - 1e-9
        K = J - answer.bound * np.eye(len(J))
        decrease = P @ K + K.T @ P
    else:
        assert answer.bound >= 1 and np.abs(eigenvalues).max() >= answer.bound - 1e-9
        K = J / answer.bound
        decrease = K.T @ P @ K - P
    assert np.linalg.eigvalsh((decrease + decrease.T) / 2).max() < 0
    assert v @ P @ v < 0


def random_systems(rng: np.random.Generator, gain: float) -> list[System]:
    """One system of each kind with random weights, without regard to stability."""
    n = 4

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(gain / np.sqrt(n) * rng.standard_normal(shape))

    activation = rng.choice(["tanh", "relu", "sigmoid", "softplus", "identity"])
    form = rng.choice(["hopfield", "firing_rate"])
    network = RateNetwork(
        normal(n, n), normal(n, 1), normal(n), activation=str(activation), form=str(form)
    )
    assembly = Assembly([network, network], jnp.kron(jnp.eye(2)[::-1], normal(n, n)))
    return [
        network,
        discretise(network, ExplicitEuler(0.5)),
        discretise(network, ExponentialEuler(0.5)),
        Elman(normal(n, 1), normal(n, n), normal(n), normal(n), activation=str(activation)),
        assembly,
        discretise(assembly, SemiImplicit(0.3)),
        discretise(assembly, ExplicitEuler(0.3)),
        discretise(assembly, ExponentialEuler(0.3)),
    ]


def test_a_certificate_carries_what_it_says():
    weight = jnp.array([[-0.5, -0.5], [0.5, -0.5]])
    theorems = (AbsoluteValue(), SingularValue())
    answer = certify(RateNetwork(weight, leak=2.0, time_constant=4.0), theorems=theorems)
    assert isinstance(answer, Certificate)
    assert answer.theorem == "absolute_value" and answer.evidence is Evidence.VERIFIED
    assert answer.rate == pytest.approx(1.5 / 4, rel=1e-3) and answer.factor is None
    assert answer.margin == answer.rate and answer.time == "continuous"
    assert answer.module_theorems == ("absolute_value",) and answer.coupling_bounds == ()
    assert answer.condition == pytest.approx(1)
    step = certify(discretise(answer.system, ExplicitEuler(0.5)))  # pyright: ignore[reportArgumentType]
    assert isinstance(step, Certificate) and step.time == "discrete" and step.rate is None
    assert step.factor is not None and step.margin == pytest.approx(1 - step.factor)


def test_claims_are_rounded_to_the_true_side():
    answer = certify(RateNetwork(jnp.zeros((2, 2))))
    assert isinstance(answer, Certificate)
    for change, words in (
        ({"rate": 0.1}, "rate 0.1,"),  # the float 0.1 exceeds one tenth
        ({"rate": 0.99999999}, "rate 0.999999,"),
        ({"rate": None, "factor": 0.9}, "factor 0.900001 per"),  # and 0.9 exceeds nine tenths
        ({"rate": None, "factor": 1 - 1e-9}, "factor 0.99999999900000003 per"),
        ({"rate": None, "factor": 1 - 2.0**-53}, "factor 0.99999999999999989 per"),
    ):
        assert words in replace(answer, **change).claim()


def test_explanations_name_theorem_slack_and_attempts():
    flow = RateNetwork(jnp.array([[0.0, -0.5], [0.5, 0.0]]))
    text = explain(certify(flow, metric=DiagonalMetric(jnp.ones(2))))
    for word in (
        "rate 0.749999,",
        "verified",
        "theorem ",
        "margin",
        "cond(M) 1",
        "tried singular_value",
    ):
        assert word in text, word
    assert "[[" not in text and "Array" not in text
    text = explain(certify(RateNetwork(jnp.array([[0.0, -4.0], [4.0, 0.0]]))))
    assert text.startswith("unknown: ") and "4" in text and "tried absolute_value" in text
    text = explain(certify(RateNetwork(jnp.array([[2.0]]))))
    assert text.startswith("refuted: ") and "witness" in text
    assembly = Assembly([flow, flow], jnp.kron(jnp.array([[0.0, -1], [1, 0]]), jnp.eye(2)))
    text = explain(certify(assembly, theorems=(SkewFeedback(),)))
    assert "module 0" in text and "module 1" in text and "coupling bound" in text


def test_everything_that_was_tried_is_told():
    network = RateNetwork(jnp.array([[0.0, -0.5], [0.5, 0.0]]))
    answer = certify(network, metric=DiagonalMetric(jnp.ones(2)))
    names = [attempt.theorem for attempt in answer.tried]
    assert names == ["absolute_value", "singular_value", "vertices", "sector", "metzler"]
    bounds = [attempt.bound for attempt in answer.tried if attempt.bound is not None]
    assert isinstance(answer, Certificate) and answer.rate == max(bounds)
    only = certify(network, theorems=(SingularValue(),))
    assert [attempt.theorem for attempt in only.tried] == ["singular_value"]
    quadratic = certify(network, metric=QuadraticMetric(jnp.eye(2)))
    assert [a.bound is None for a in quadratic.tried] == [True, True, False, False, True]
    assert isinstance(certify(network, theorems=()), Unknown)


def test_the_best_of_all_theorems_wins():
    rng = np.random.default_rng(0)
    theorems = (AbsoluteValue(), SingularValue(), Sector())
    winners = set()
    for trial in range(30):
        weight = rng.standard_normal((4, 4)) - (trial % 2) * np.diag(rng.exponential(4, 4))
        if trial % 3 == 2:
            weight = np.triu(weight)
        network = RateNetwork(jnp.asarray(0.25 * weight))
        answer = certify(network)
        singles = [certify(network, theorems=(t,)) for t in theorems]
        margins = [a.margin for a in singles if isinstance(a, Certificate)]
        assert isinstance(answer, Certificate) == bool(margins)
        if isinstance(answer, Certificate):
            # Of two that are as good, the simpler.
            assert answer.margin >= 0.999 * max(margins)
            winners.add(answer.theorem)
    assert {"absolute_value", "sector"} <= winners


def test_gated_cells_are_unknown():
    for cell in (random_gru(jax.random.key(0), 3, 2), random_lstm(jax.random.key(0), 3, 2)):
        answer = certify(cell)
        assert isinstance(answer, Unknown) and type(cell).__name__ in answer.reason


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_stable_networks_are_never_refuted(family: Any):
    """Certified ones: a certificate and a refutation of one system cannot both be true."""
    for stack in family.draw(3, 15):
        for index in range(len(stack)):
            assert refute(stack.member(index)) is None


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_stable_networks_without_a_certificate_are_unknown(form: str):
    """Symmetric weights below the leak always contract; here no diagonal metric shows it."""
    rng = np.random.default_rng(1)
    unknown = 0
    for _ in range(100):
        Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
        weight = (Q * np.append(rng.uniform(-8, -2, 4), 0.99)) @ Q.T
        activation = str(rng.choice(["tanh", "relu", "softplus"]))
        network = RateNetwork(
            jnp.asarray((weight + weight.T) / 2), form=form, activation=activation
        )
        answer = certify(network, input_bound=None, theorems=(AbsoluteValue(), SingularValue()))
        assert not isinstance(answer, Refuted)
        unknown += isinstance(answer, Unknown)
        # The metric that does is not diagonal.
        assert isinstance(certify(network, input_bound=None), Certificate)
    assert unknown > 50


def test_refutations_are_true():
    """Random systems of growing gain: each refutation's witness is unstable in float64 too."""
    rng = np.random.default_rng(2)
    refuted: dict[str, int] = {}
    for gain in (1.0, 2.0, 4.0):
        for _ in range(3):
            for system in random_systems(rng, gain):
                answer = refute(system)
                if answer is not None:
                    assert_refutation_is_true(system, answer)
                    name = type(system).__name__
                    refuted[name] = refuted.get(name, 0) + 1
    assert len(refuted) == 7 and min(refuted.values()) >= 2, refuted


def test_refutation_is_sharp():
    """One unit, weights a little above and below the leak."""
    for form in ("hopfield", "firing_rate"):
        below = certify(RateNetwork(jnp.array([[1 - 1e-4]]), form=form))
        above = RateNetwork(jnp.array([[1 + 1e-4]]), form=form)
        assert isinstance(below, Certificate)
        refuted = certify(above)
        assert isinstance(refuted, Refuted)
        assert_refutation_is_true(above, refuted)


def test_steep_states_are_found_behind_a_bias():
    """A bias that saturates tanh at rest hides the instability from the state 0."""
    network = RateNetwork(
        2.0 * jnp.eye(2), bias=jnp.array([5.0, -7.0]), form="firing_rate", activation="tanh"
    )
    assert np.linalg.eigvals(jacobian(network, np.zeros(2))).real.max() < 0
    answer = certify(network)
    assert isinstance(answer, Refuted)
    assert_refutation_is_true(network, answer)


def test_certificates_are_about_numbers_that_nobody_changes():
    """NumPy's arrays can be written to after the proof; the certificate holds copies."""
    weight, scale, coupling = -np.eye(2), np.ones(2), np.zeros((2, 2))
    answer = certify(RateNetwork(weight), metric=DiagonalMetric(scale))  # pyright: ignore[reportArgumentType]
    assert isinstance(answer, Certificate)
    whole = compose([answer], coupling)  # pyright: ignore[reportArgumentType]
    assert isinstance(whole, Certificate)
    weight[:], scale[:], coupling[:] = 5 * np.eye(2), [1, 100], 9.0
    assert_same = np.testing.assert_array_equal
    assert_same(jax.tree.leaves(answer.system)[0], -np.eye(2))
    assert_same(jax.tree.leaves(answer.metric)[0], np.ones(2))
    assert not np.asarray(jax.tree.leaves(whole.system)[-2]).any()


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        ({"time_constant": jnp.array(0.0)}, dict, "a time constant is 0"),
        ({}, lambda: {"metric": jnp.eye(2)}, "give a metric"),
        ({}, lambda: {"metric": DiagonalMetric(jnp.array([1.0, 1j]))}, "complex"),
    ],
)
def test_what_cannot_be_certified_is_told_in_one_line(given: Any, options: Any, told: str):
    with pytest.raises(InputProblem, match=told) as problem:
        certify(RateNetwork(-jnp.eye(2), **given), **options())
    assert "\n" not in str(problem.value)


def test_traced_numbers_are_refused_by_name():
    with pytest.raises(InputProblem, match="outside jit"):
        jax.jit(lambda w: bool(certify(RateNetwork(w))))(jnp.eye(2))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda a: RateNetwork(a), "weight"),
        (lambda a: Assembly((RateNetwork(jnp.eye(2)),), a), "coupling"),
        (lambda a: Composite((RateNetwork(jnp.eye(2)),), a), "coupling"),
        (lambda a: Composite((RateNetwork(jnp.eye(2)),), jnp.eye(2), a), "speeds"),
        (lambda a: GatedRate(a, slowest=0.1, fastest=1.0), "self_weight"),
        (lambda a: DiagonalRecurrence(a, jnp.zeros(1)), "real"),
        (lambda a: Relay(a, jnp.zeros(1), jnp.ones((1, 1))), "read"),
        (lambda a: DiagonalMetric(a), "scale"),
        (lambda a: QuadraticMetric(a), "matrix"),
        (lambda a: skew_feedback(a, [DiagonalMetric(jnp.ones(1))] * 2), "lower"),
    ],
)
def test_lists_are_refused_by_name(make: Any, name: str):
    with pytest.raises(InputProblem, match=f"^{name} is a list; give an array"):
        make([[0.0, 0.0], [0.0, 0.0]])
