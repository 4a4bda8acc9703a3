"""Coordinates of weights against numbers worked out by hand; no two codes agree."""

import numpy as np
import pytest

from limitset.replication import ParticleSpec, PositionCode

# Weights 0, 3, 7, 9 and 13 of the shapes (2, 4), (2, 2), (1, 2): (layer, cell, edge) by hand.
PLACES = [0, 3, 7, 9, 13]
NUMBERS = [(0, 0, 0), (0, 0, 3), (0, 1, 3), (1, 0, 1), (2, 0, 1)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (PositionCode.RAW, NUMBERS),
        # Four inputs leave the source's normalisation nothing to do.
        (PositionCode.L2COL, NUMBERS),
        (
            PositionCode.COLMAX,
            [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0.5, 0, 1 / 3), (1, 0, 1 / 3)],
        ),
        # Cells run to 1 within a layer, which divides nothing; edges of the first layer to 3.
        (PositionCode.PERLAYER, [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0.5, 0, 1), (1, 0, 1)]),
        (PositionCode.KERAS2019, [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0.5, 1, 0), (1, 1, 0)]),
    ],
)
def test_places_by_hand(code, expected):
    places = ParticleSpec(position=code).positions[PLACES]
    assert np.allclose(places, expected, rtol=0, atol=2e-8)


def test_organisms_see_quarters_and_halves():
    places = ParticleSpec(inputs=5, widths=(5, 5)).positions
    assert np.allclose(np.unique(places[:, 1].round(6)), [0, 0.25, 0.5, 0.75, 1])
    assert np.allclose(np.unique(places[:, 0].round(6)), [0, 0.5, 1])


def test_columns_of_unit_length():
    places = ParticleSpec(inputs=5, position=PositionCode.L2COL).positions
    assert np.allclose(np.linalg.norm(places, axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("widths", [(2, 2), (3, 5), (3, 4, 2)])
def test_no_two_codes_agree(widths):
    found = [ParticleSpec(5, widths, code).positions for code in PositionCode]
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("code", PositionCode)
def test_one_hidden_unit_divides_by_nothing(code):
    """Columns whose largest number is 0 must not give NaN."""
    assert np.isfinite(ParticleSpec(5, (1, 1), code).positions).all()
