"""Time and size of large proofs: ten times what they take on an idle core, and no more."""

import time
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from limitset.analysis import find_hopf_points
from limitset.io import write_proof
from limitset.networks import RateNetwork, gain_family
from limitset.proofs import AllPureHopf, HopfPoint, prove_all_hopf, prove_hopf

pytestmark = pytest.mark.usefixtures("no_shape_checks")


def seconds(run: Callable[[], object], repeats: int = 2) -> float:
    """Processor time of this process, which others hardly change; the best of a few."""
    run()
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        taken.append(time.process_time() - begin)
    return min(taken)


def test_T30_a_general_hopf_point_of_one_hundred_units(tmp_path: Path):
    rng = np.random.default_rng(3)
    weight, bias = rng.standard_normal((100, 100)) / 10, 0.8 * rng.standard_normal(100)
    network = RateNetwork(jnp.asarray(weight), bias=jnp.asarray(bias), form="firing_rate")
    family = gain_family(network)
    c = find_hopf_points(family, [np.tanh(bias)], (0.0, 2.0), step=0.1)[0]

    def prove() -> object:
        return prove_hopf(family, c.parameter, c.frequency, c.state, c.vector)

    point = prove()
    assert isinstance(point, HopfPoint), point
    assert point.lyapunov_coefficient.rad < 1e-3 * abs(point.lyapunov_coefficient.mid)
    assert seconds(prove) < 5.0
    # About 21 bytes for each of the numbers that a network and a point of it have.
    path = write_proof(point, family, tmp_path / "hopf.json")
    assert path.stat().st_size < 40 * 2 * 100 * 100


def test_T30_all_hopf_points_of_four_hundred_units(tmp_path: Path):
    rng = np.random.default_rng(80)
    R = rng.standard_normal((400, 400))
    weight = R - R.T + 0.1 * rng.standard_normal((400, 400))
    points = prove_all_hopf(weight)
    assert isinstance(points, AllPureHopf) and len(points.proved) == 200
    assert seconds(lambda: prove_all_hopf(weight), repeats=1) < 20.0
    network = RateNetwork(jnp.asarray(weight), form="firing_rate", leak=0.0)
    path = write_proof(points, network, tmp_path / "all.json")
    assert path.stat().st_size < 40 * 400 * 400
