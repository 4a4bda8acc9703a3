"""Certificates of branches: all families, forms and events; what cannot be written; speed."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import limitset.checker._branch as checked_branch
from limitset import InputProblem
from limitset.analysis import find_equilibria
from limitset.checker import check
from limitset.dynamics import BiasFamily
from limitset.io._branch_certificate import branch_fields
from limitset.io._certificate import canonical_text, sealed
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family
from limitset.proofs import EventKind, ProvedBranch, prove_branch
from proofs.judging import FOUR_NEURONS

Family = RateFamily | BiasFamily


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Hundreds of steps are proved here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def written(record: ProvedBranch, family: Family, path: Path) -> Path:
    path.write_text(canonical_text(sealed(branch_fields(record, family), None)))
    return path


def proved(family: Any, state: Any, interval: tuple[float, float], **options: Any) -> ProvedBranch:
    record = prove_branch(family, np.asarray(state, np.float64), interval, **options)
    assert isinstance(record, ProvedBranch), record
    return record


def pure(weight: Any) -> RateFamily:
    return shift_family(RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0))


def settled(family: Family, parameter: float) -> np.ndarray:
    """The state after a while from 0, near a stable equilibrium."""
    x = np.zeros(family.state_size)
    for _ in range(600):
        x = x + 0.05 * np.asarray(family(jnp.asarray(x), parameter))
    return x


def test_the_origin_of_the_published_network(tmp_path: Path):
    record = proved(pure(FOUR_NEURONS), np.zeros(4), (-0.1, 0.05))
    verdict = check(written(record, pure(FOUR_NEURONS), tmp_path / "four.json"))
    assert verdict.accepted, verdict.reason
    assert "exactly 2 Hopf points, 0 folds and 0 pitchforks on the origin" in verdict.claim


def test_folds_in_a_constant_input(tmp_path: Path):
    family = BiasFamily(RateNetwork(jnp.array([[2.0]])), jnp.array([1.0]))
    record = proved(family, [-3.0], (-1.0, 1.0))
    verdict = check(written(record, family, tmp_path / "unit.json"))
    assert verdict.accepted, verdict.reason
    assert "0 Hopf points, 2 folds" in verdict.claim and "(-2.98991)" in verdict.claim


def test_a_pitchfork_and_a_hopf_point(tmp_path: Path):
    weight = np.array([[1.0, 0.0, 0.0], [0.5, 0.25, -1.0], [0.0, 1.0, 0.25]])
    for form in ("hopfield", "firing_rate"):
        family = gain_family(RateNetwork(jnp.asarray(weight), form=form))
        record = proved(family, np.zeros(3), (0.5, 5.0))
        verdict = check(written(record, family, tmp_path / "fork.json"))
        assert verdict.accepted, verdict.reason
        assert "exactly 1 Hopf points, 0 folds and 1 pitchforks" in verdict.claim


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_all_forms_and_families(form: str, activation: str, tmp_path: Path):
    """With bias, leak and time constant; near the origin of the parameter nothing happens."""
    rng = np.random.default_rng(7)
    network = RateNetwork(
        jnp.asarray(rng.standard_normal((3, 3))),
        bias=jnp.asarray(rng.standard_normal(3)),
        form=form,
        activation=activation,
        leak=1.25,
        time_constant=0.5,
    )
    direction = jnp.asarray(rng.standard_normal((3, 3)))
    families = (
        gain_family(network),
        shift_family(network),
        RateFamily(network, direction),
        BiasFamily(network, direction[0]),
    )
    for family in families:
        record = proved(family, settled(family, 0.1), (0.1, 0.3))
        verdict = check(written(record, family, tmp_path / "form.json"))
        assert verdict.accepted, (type(family), verdict.reason)


def test_a_biased_network_with_a_hopf_point(tmp_path: Path):
    rng = np.random.default_rng(32)
    weight = rng.standard_normal((5, 5)) / np.sqrt(5)
    bias = 0.8 * rng.standard_normal(5)
    family = gain_family(
        RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    )
    record = proved(family, np.tanh(bias), (1.0, 2.0))
    assert record.count(EventKind.HOPF) == 1
    path = written(record, family, tmp_path / "biased.json")
    began = time.perf_counter()
    verdict = check(path)
    assert verdict.accepted, verdict.reason
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(("start", "folds"), [(0, 0), (1, 1), (4, 1)])
def test_folds_of_a_network_with_falling_gain(start: int, folds: int, tmp_path: Path):
    """On some of these curves real eigenvalues become a pair, where no eigenvectors are left."""
    rng = np.random.default_rng(5)
    weight = np.eye(4) + 0.4 * rng.standard_normal((4, 4))
    bias = jnp.array([-0.5, -0.4, 0.3, -0.6])
    network = RateNetwork(jnp.zeros((4, 4)), bias=bias, form="firing_rate")
    family = RateFamily(network, jnp.asarray(-weight))
    record = proved(family, find_equilibria(family, -3.0, 4)[start], (-3.0, -0.1))
    assert record.count(EventKind.FOLD) == folds
    verdict = check(written(record, family, tmp_path / "folds.json"))
    assert verdict.accepted and f"{folds} folds" in verdict.claim, verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "size"), [(13, 12), (13, 20)])
def test_larger_networks(seed: int, size: int, tmp_path: Path):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((size, size)) / np.sqrt(size)
    bias = 0.8 * rng.standard_normal(size)
    family = gain_family(
        RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    )
    record = proved(family, np.tanh(bias), (0.0, 3.0))
    verdict = check(written(record, family, tmp_path / "large.json"))
    assert verdict.accepted, verdict.reason


def test_what_cannot_be_written(tmp_path: Path):
    turn = pure([[0.0, -2.0], [2.0, 0.0]])
    with pytest.raises(InputProblem, match="undecided pieces"):
        branch_fields(proved(turn, np.zeros(2), (0.0, 1.0)), turn)
    robust = proved(turn, np.zeros(2), (0.5, 1.0), weight_radius=1e-6)
    with pytest.raises(InputProblem, match="ball of weights"):
        branch_fields(robust, turn)
    record = proved(turn, np.zeros(2), (0.5, 1.0))
    with pytest.raises(InputProblem, match="2 units"):
        branch_fields(record, pure(FOUR_NEURONS))
    with pytest.raises(InputProblem, match="needs a RateFamily"):
        branch_fields(record, lambda x, a: a * x)  # pyright: ignore[reportArgumentType]
    # The record of one network beside another.
    other = written(record, pure([[0.0, -2.0], [2.0, -0.75]]), tmp_path / "other.json")
    assert check(other).accepted  # nothing happens there, either
    crossed = proved(turn, np.zeros(2), (-0.5, 1.0))
    assert not check(
        written(crossed, pure([[-2.0, 0.0], [0.0, -2.0]]), tmp_path / "o.json")
    ).accepted


def test_too_much_work_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record = proved(pure(FOUR_NEURONS), np.zeros(4), (-0.1, 0.05))
    path = written(record, pure(FOUR_NEURONS), tmp_path / "four.json")
    monkeypatch.setattr(checked_branch, "_MOST_WORK", 1000)
    verdict = check(path)
    assert not verdict.accepted and "too many points" in verdict.reason
