"""Sizes of particles, and shapes that are none."""

import pytest

from limitset import InputProblem
from limitset.networks import TANH
from limitset.replication import ParticleSpec


@pytest.mark.parametrize(
    ("inputs", "widths", "count"),
    [(4, (2, 2), 14), (5, (2, 2), 16), (5, (3, 3), 27), (5, (5, 5), 55), (6, (4,), 28)],
)
def test_weights_are_counted(inputs, widths, count):
    spec = ParticleSpec(inputs, widths)
    assert spec.weight_count == count == spec.positions.shape[0]
    assert spec.depth == len(spec.shapes) == len(widths) + 1


def test_only_the_identity_is_linear():
    assert ParticleSpec().is_linear
    assert not ParticleSpec(activation=TANH).is_linear


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 3}, "inputs is 3"),
        ({"inputs": 4.5}, "inputs is 4.5"),
        ({"widths": ()}, "widths is"),
        ({"widths": (2, 0)}, "widths is"),
        ({"widths": [2, 2]}, "widths is"),
        ({"position": "colmax"}, "position is 'colmax'"),
        ({"activation": "tanh"}, "activation is 'tanh'"),
    ],
)
@pytest.mark.usefixtures("untyped")
def test_what_is_no_particle_is_refused(changes, message):
    with pytest.raises(InputProblem, match=message) as caught:
        ParticleSpec(**changes)
    assert "\n" not in str(caught.value)
