"""The figure of certified accuracy says for every line how it is known."""

import numpy as np
import xarray

from limitset.report import draw_certified


def test_every_network_has_a_curve_and_an_attack_with_their_evidence():
    quantiles = np.linspace(-1, 2, 11)
    points = np.full((2, 2, 3, 3), np.nan)
    points[:, :, 0] = (0.5, 0.6, 0.7)
    found = xarray.Dataset(
        {
            "radius_quantile": (
                ("network", "norm", "quantile"), np.broadcast_to(quantiles, (2, 2, 11))
            ),
            "point": (("network", "norm", "place", "what"), points),
        },
        {"network": ["first", "second"], "norm": ["euclidean", "maximum"]},
    )  # fmt: skip
    drawn = draw_certified(found)
    assert drawn.startswith("<svg")
    for name in ("first", "second"):
        assert f"{name} [verified]" in drawn and f"{name}, attack [sampled]" in drawn
    assert "radius in the maximum norm" in drawn
