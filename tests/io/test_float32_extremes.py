"""Numbers at the ends of float32: nothing is said of them, and no file that says it is accepted.

In each of these maps a factor is flushed to zero, or a number overflows, and a huge one follows:
what float32 loses there has no bound that the small numbers show.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset.checker import check
from limitset.contraction import Certificate, certify
from limitset.dynamics import ExplicitEuler, GatedMap, SemiImplicit, simulate
from limitset.io._certificate import canonical_text, certificate_document
from limitset.networks import DiagonalRecurrence, GatedRate, Stack

from .forgery import sealed


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Single numbers stand for arrays of them here."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def single(values: object) -> jax.Array:
    return jnp.asarray(np.asarray(values, np.float32))


def _gated(
    weight: float, entering: float, speeds: tuple[float, float], step: float, name: str
) -> GatedMap:
    slowest, fastest = (single([speed]) for speed in speeds)
    units = GatedRate(
        single([weight]),
        single([[entering]]),
        single([0.0]),
        gate_bias=single([60.0]),
        slowest=slowest,
        fastest=fastest,
        activation=name,
    )
    return GatedMap(units, single(step), None, ExplicitEuler(step))


def _turned() -> GatedMap:
    units = GatedRate(
        single([0.0, 0.0]),
        single(np.zeros((2, 1))),
        single([0.0, 0.0]),
        slowest=single([2.0**-20] * 2),
        fastest=single([2.0**-20] * 2),
        activation="relu",
    )
    wide = single([[0.7, -0.7 * 2.0**-126], [0.7 * 2.0**126, 0.7]])
    return GatedMap(units, single(1.0), wide, SemiImplicit(1.0))


LARGE = float(np.finfo(np.float32).max)
MAPS: dict[str, Callable[[], GatedMap]] = {
    "a subnormal step": lambda: _gated(0.0, 1000.0, (2.0**126, 2.0**126), 2.0**-127, "relu"),
    "a gate that overflows": lambda: _gated(
        1 - 2.0**-5, 0.0, (2.0**127, LARGE), 2.0**-123, "identity"
    ),
    "a product that underflows": lambda: _gated(
        -(2.0**126), 0.0, (2.0**-67, 2.0**-67), 2.0**-60, "identity"
    ),
    "a subnormal propagator": _turned,
}


@pytest.mark.parametrize("kind", MAPS)
def test_nothing_is_said_of_extreme_numbers(kind: str, tmp_path: Path):
    answer = certify(MAPS[kind](), input_bound=1.0)
    assert isinstance(answer, Certificate) and answer.float32 is None
    document = json.loads(canonical_text(certificate_document(answer)))
    path = tmp_path / "honest.json"
    path.write_bytes(sealed(document))
    assert check(path).accepted
    for rounding in (1e-3, 1.1, 8.0, 512.0):
        numbers = {
            "input_bound": 1.0,
            "activation_error": 2.0**-19,
            "state_radius": 5000.0,
            "rounding": rounding,
            "gap": 4.01 * rounding,
        }
        document["float32"] = {key: value.hex() for key, value in numbers.items()}
        forged = tmp_path / f"{rounding:g}.json"
        forged.write_bytes(sealed(document))
        verdict = check(forged)
        assert not verdict.accepted and "stored number" in verdict.reason


def test_a_flushed_step_does_stand_still():
    """The first of these maps as it runs: what its exact twin forgets in a step, it keeps."""
    system = MAPS["a subnormal step"]()
    ends = [
        float(simulate(system, single([x]), single(np.zeros((50, 1)))).final[0])
        for x in (-4900.0, 4900.0)
    ]
    apart = ends[1] - ends[0]
    # Where subnormal numbers are kept the runs approach as the certificate says.
    assert apart == 9800 or apart <= 9800 * 0.51**50


def test_an_embedding_that_overflows_leaves_no_statement():
    layer = DiagonalRecurrence(
        single([0.5]), single([0.0]), single(np.zeros((2, 1))), single([1.0, 0.0])
    )
    stack = Stack((layer,), (), single([[6e7]]))
    said = certify(stack, input_bound=10.0)
    assert isinstance(said, Certificate) and said.float32 is not None
    silent = certify(stack, input_bound=2e30)
    assert isinstance(silent, Certificate) and silent.float32 is None
