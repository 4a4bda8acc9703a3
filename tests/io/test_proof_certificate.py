"""Certificates of equilibria and Hopf points: written, beside their model, and how fast checked."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

import limitset.checker._hopf as checked_hopf
from limitset import InputProblem
from limitset.analysis import find_hopf_points
from limitset.checker import check
from limitset.io import Model, proof_document, save, write_proof
from limitset.networks import RateFamily, RateNetwork, gain_family, shift_family, widened
from limitset.proofs import (
    AllPureHopf,
    Ball,
    Equilibrium,
    HopfPoint,
    prove_all_hopf,
    prove_equilibrium,
    prove_hopf,
)


def equilibrium(network: RateNetwork, near: Any, **options: Any) -> Equilibrium:
    record = prove_equilibrium(network, np.asarray(near, np.float64), **options)
    assert isinstance(record, Equilibrium), record
    return record


def random_network(size: int, seed: int = 80) -> RateNetwork:
    """The class of arXiv 2202.05073: firing rates without leak, nearly skew weights."""
    rng = np.random.default_rng(seed)
    R = rng.standard_normal((size, size))
    weight = (R - R.T) + 0.1 * rng.standard_normal((size, size))
    return RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0)


def fastest(network: RateNetwork) -> HopfPoint:
    """The Hopf point of the largest frequency."""
    values, vectors = np.linalg.eig(np.asarray(network.weight))
    k = int(np.argmax(np.imag(values)))
    point = prove_hopf(
        shift_family(network),
        -values[k].real,
        values[k].imag,
        np.zeros(len(values)),
        vectors[:, k],
    )
    assert isinstance(point, HopfPoint), point
    return point


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_equilibria_of_all_forms(form: str, activation: str, size: int, tmp_path: Path):
    """With bias, leak, time constant, input, and for balls of weights."""
    rng = np.random.default_rng(size)
    network = RateNetwork(
        jnp.asarray(rng.standard_normal((size, size)) / np.sqrt(size)),
        jnp.asarray(rng.standard_normal((size, 2))),
        jnp.asarray(rng.standard_normal(size)),
        form=form,
        activation=activation,
        leak=1.25,
        time_constant=3.0,
    )
    for u in (None, np.array([0.5, -0.25])):
        for weight_radius in (0.0, 1e-7):
            record = equilibrium(network, np.zeros(size), input=u, weight_radius=weight_radius)
            path = write_proof(record, network, tmp_path / "rest.json", input=u)
            verdict = check(path)
            assert verdict.accepted, verdict.reason
            assert ("all weights" in verdict.claim) == (weight_radius > 0)
    # Without its input it is another network's equilibrium.
    assert not check(write_proof(record, network, tmp_path / "other.json")).accepted


def test_claimed_radii_are_checked_as_they_stand(tmp_path: Path):
    network = RateNetwork(jnp.array([[2.0]]))
    near = equilibrium(network, [1.915], radius=0.1)
    verdict = check(write_proof(near, network, tmp_path / "rest.json"))
    assert verdict.accepted and "at most 0.101" in verdict.claim


def test_degenerate_equilibria_are_undecided_but_exist(tmp_path: Path):
    """A center and a defective pair; a chain of units, whose Jacobian is one Jordan block."""
    turn = RateNetwork(jnp.array([[1.0, -2.0], [2.0, 1.0]]))
    record = equilibrium(turn, [0.0, 0.0])
    assert record.stability == "undecided"
    assert check(write_proof(record, turn, tmp_path / "turn.json")).accepted
    chain = RateNetwork(jnp.asarray(np.eye(6, k=1)))
    record = equilibrium(chain, np.zeros(6))
    verdict = check(write_proof(record, chain, tmp_path / "chain.json"))
    assert verdict.accepted and "stable" in verdict.claim, verdict.reason


@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_hopf_points_of_biased_networks(form: str, activation: str, tmp_path: Path):
    rng = np.random.default_rng(32)
    weight = 4 * rng.standard_normal((5, 5)) / np.sqrt(5)
    bias = 0.8 * rng.standard_normal(5)
    network = RateNetwork(
        jnp.asarray(weight),
        bias=jnp.asarray(bias),
        form=form,
        activation=activation,
        leak=0.5,
        time_constant=2.0,
    )
    family = gain_family(network)
    found = find_hopf_points(family, [np.zeros(5)], (0.0, 4.0), step=0.05)
    assert found
    for c in found:
        point = prove_hopf(family, c.parameter, c.frequency, c.state, c.vector)
        assert isinstance(point, HopfPoint), point
        verdict = check(write_proof(point, family, tmp_path / "hopf.json"))
        assert verdict.accepted, verdict.reason
        count = f"{point.unstable} unstable eigenvalues"
        assert count in verdict.claim and "Hopf point of a W" in verdict.claim


@pytest.mark.parametrize("size", [1, 2, 3, 6, 20])
def test_all_hopf_points_of_the_pure_class(size: int, tmp_path: Path):
    network = random_network(size)
    record = prove_all_hopf(np.asarray(network.weight))
    assert isinstance(record, AllPureHopf) and record.complete
    verdict = check(write_proof(record, network, tmp_path / "all.json"))
    assert verdict.accepted, verdict.reason
    assert f"exactly {len(record.proved)} Hopf points" in verdict.claim


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beside_its_model(dtype: str, tmp_path: Path):
    """Tied to the stored weights, also where the proof was about the same numbers in float64."""
    weight = jnp.array([[0.75, -2.0], [2.0, 0.5]], dtype)
    network = RateNetwork(weight, leak=0.75)
    folder = save(tmp_path / "model", Model(network))
    family = gain_family(network)
    assert (exact := widened(family)).direction.dtype == "float64"
    point = prove_hopf(exact, 1.2, 2.4, np.zeros(2), np.array([1.0, -1.0j]))
    assert isinstance(point, HopfPoint), point
    rest = equilibrium(network, [0.0, 0.0])
    paths = [
        write_proof(point, family, folder / "certificates" / "hopf.json", model=folder),
        write_proof(rest, network, folder / "certificates" / "rest.json", model=folder),
    ]
    for path in paths:
        verdict = check(path)
        assert verdict.accepted and "the model's weights" in verdict.claim, verdict
    edited = np.array(weight)
    edited[0, 0] = np.nextafter(edited[0, 0], edited.dtype.type(1))
    save(folder, Model(RateNetwork(jnp.asarray(edited), leak=0.75)))
    for path in paths:
        verdict = check(path)
        assert not verdict.accepted and "not that of the certificate" in verdict.reason


def test_the_planar_formula_is_a_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Only with all three terms does the checker agree with the prover."""
    rng = np.random.default_rng(32)
    weight, bias = rng.standard_normal((5, 5)) / np.sqrt(5), 0.8 * rng.standard_normal(5)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    family = gain_family(network)
    c = find_hopf_points(family, [np.tanh(bias)], (0.0, 4.0), step=0.1)[1]
    point = prove_hopf(family, c.parameter, c.frequency, c.state, c.vector)
    assert isinstance(point, HopfPoint) and not point.is_supercritical
    path = write_proof(point, family, tmp_path / "hopf.json")
    assert check(path).accepted
    monkeypatch.setattr(checked_hopf, "_lyapunov_coefficient", lambda *_: arb(-0.25522))
    assert not check(path).accepted


def test_records_without_a_certificate():
    network = RateNetwork(jnp.array([[0.3, -1.0], [2.0, -0.3]]), form="firing_rate", leak=0.0)
    record = prove_all_hopf(np.asarray(network.weight))
    assert isinstance(record, AllPureHopf)
    leaky = RateNetwork(network.weight, form="firing_rate")
    with pytest.raises(InputProblem, match="another form"):
        proof_document(record, leaky)
    skew = RateNetwork(jnp.array([[0.0, -1.0], [1.0, 0.0]]), form="firing_rate", leak=0.0)
    degenerate = prove_all_hopf(np.asarray(skew.weight))
    assert isinstance(degenerate, AllPureHopf)
    with pytest.raises(InputProblem, match="not complete"):
        proof_document(degenerate, skew)
    with pytest.raises(InputProblem, match="RateFamily"):
        proof_document(fastest(network), network)
    with pytest.raises(InputProblem, match="RateNetwork"):
        proof_document(record, shift_family(network))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="input has shape"):
        proof_document(equilibrium(leaky, [0.0, 0.0]), leaky, input=np.ones(3))


@pytest.mark.parametrize(("size", "seconds"), [(10, 0.1), (100, 5.0)])
def test_T30_checking_a_hopf_point_is_fast(size: int, seconds: float, tmp_path: Path):
    network = random_network(size)
    path = write_proof(fastest(network), shift_family(network), tmp_path / "hopf.json")
    begin = time.process_time()
    verdict = check(path)
    elapsed = time.process_time() - begin
    assert verdict.accepted, verdict.reason
    assert elapsed < seconds


def test_networks_beyond_the_limits_are_refused_at_once(tmp_path: Path):
    size = 1100
    network = RateNetwork(jnp.zeros((size, size)))
    zero = np.zeros(size)
    template = equilibrium(RateNetwork(jnp.zeros((1, 1))), [0.0])
    record = Equilibrium(zero, zero + 1e-9, 0.0, template.stability, 1, np.eye(size), None)
    begin = time.process_time()
    verdict = check(write_proof(record, network, tmp_path / "large.json"))
    assert not verdict.accepted and "at most 1024 units" in verdict.reason
    assert time.process_time() - begin < 20


def test_the_checker_needs_nothing_else_of_limitset(tmp_path: Path):
    """`python -m limitset.checker` with python-flint alone: all else is made unimportable."""
    network = random_network(4, 3)
    everything = prove_all_hopf(np.asarray(network.weight))
    assert isinstance(everything, AllPureHopf)
    rest = RateNetwork(jnp.array([[2.0]]))
    one = RateFamily(rest, jnp.array([[1.0]]))
    assert one.state_size == 1
    files = [
        write_proof(equilibrium(rest, [2.0]), rest, tmp_path / "rest.json"),
        write_proof(fastest(network), shift_family(network), tmp_path / "hopf.json"),
        write_proof(everything, network, tmp_path / "all.json"),
    ]
    blocked = ("numpy", "scipy", "jax", "jaxlib", "equinox", "jaxtyping", "safetensors", "typer")
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({blocked}))\n"
        f"sys.argv[1:] = {[str(path) for path in files]}\n"
        "runpy.run_module('limitset.checker', run_name='__main__')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("accepted") == 3


@pytest.mark.parametrize("other", [1.0, 1.25])
def test_T10_two_pairs_on_the_axis_are_refused(other: float, tmp_path: Path):
    """A proved point of two units, claimed of four that have another pair on the axis."""
    block = np.array([[0.3, -1.0], [2.0, -0.3]])
    alone = RateNetwork(jnp.asarray(block), form="firing_rate", leak=0.0)
    point = fastest(alone)
    assert check(write_proof(point, shift_family(alone), tmp_path / "two.json")).accepted
    weight = np.kron(np.diag([1.0, other]), block)
    four = RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0)
    state = Ball(np.zeros(4), np.full(4, 1e-6))
    lie = dataclasses.replace(point, state=state)
    verdict = check(write_proof(lie, shift_family(four), tmp_path / "four.json"))
    assert not verdict.accepted
    expected = "zero" if other == 1.0 else "critical line"
    assert expected in verdict.reason or "regular" in verdict.reason
