"""The map of positions and cells: numbers, border, and what they are worth."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import xarray

from limitset.report import EXPERIMENT_DRAWINGS


def example(layers: int, seeds: int, cell: str) -> xarray.Dataset:
    shape = (layers, 3, seeds, 4)
    error = np.linspace(0.005, 0.25, int(np.prod(shape))).reshape(shape)
    border = [[k * (c - 1) + 1 for c in (1, 2, 3)] for k in range(1, layers + 1)]
    return xarray.Dataset(
        {
            "error": (("layers", "cells", "seed", "position"), error),
            "border": (("layers", "cells"), border),
        },
        coords={
            "layers": range(1, layers + 1),
            "cells": [1, 2, 3],
            "seed": range(seeds),
            "position": [1, 2, 3, 4],
        },
        attrs={"cell": cell},
    )


@pytest.mark.parametrize(("layers", "seeds", "cell"), [(1, 1, "gru"), (2, 3, "tanh")])
def test_the_map_says_errors_border_and_evidence(layers: int, seeds: int, cell: str):
    found = example(layers, seeds, cell)
    (figure,) = EXPERIMENT_DRAWINGS["memory"](found)
    text = " ".join(ElementTree.fromstring(figure).itertext())
    assert text.count("[sampled]") == layers and f"{cell} units" in text
    assert ".25" in text and ("best of 3 seeds" in text) == (seeds == 3)
    assert ("linear units" in text) == (cell == "tanh")
