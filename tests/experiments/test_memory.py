"""The memory-distance study: sizes, resumption, rows beside the published numbers."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset._result import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.sweeps import SweepProgress

MEMORY = EXPERIMENTS["memory"]


def little(*words: str) -> object:
    few = ("layers=1", "cells=2", "positions=3", "seeds=2", "longest=4", "updates=2")
    return read_settings(MEMORY.settings, (*few, *words))


def test_it_goes_on_from_its_store(tmp_path: Path):
    seen = list[SweepProgress]()
    found = MEMORY.compute(little(), tmp_path / "store", None)
    again = MEMORY.compute(little(), tmp_path / "store", seen.append)
    assert seen and all(progress.found == progress.total == 4 for progress in seen)
    xarray.testing.assert_identical(found, again)
    assert found["error"].dims == ("layers", "cells", "seed", "position")
    assert found["border"].values.tolist() == [[1, 2]]
    assert not np.allclose(found["error"].sel(seed=0), found["error"].sel(seed=1))
    with pytest.raises(InputProblem, match="another sweep"):
        MEMORY.compute(little("learning_rate=0.1"), tmp_path / "store", None)


def example(cell: str = "tanh") -> xarray.Dataset:
    """Two seeds of two sizes; the second seed fails at position 1 of the second size."""
    error = np.array([[[0.01, 0.2, 0.25]] * 2, [[0.01, 0.02, 0.18], [0.1, 0.03, 0.19]]])
    return xarray.Dataset(
        {
            "error": (("layers", "cells", "seed", "position"), error[None]),
            "squared_correlation": (("layers", "cells", "seed", "position"), 1 - 4 * error[None]),
            "border": (("layers", "cells"), [[1, 2]]),
        },
        coords={"layers": [1], "cells": [1, 2], "seed": [0, 1], "position": [1, 2, 3]},
        attrs={"cell": cell},
    )


def test_rows_say_what_was_published_and_what_was_found():
    rows = {row.quantity: row for row in MEMORY.rows(example())}
    border = rows["1 layer of 2 tanh units, last position recalled, 2 expected"]
    assert border.theirs == "2 (heat map)"
    assert border.ours == "2 by the best of each position; 0 / 1 / 2 over seeds"
    beyond = rows["1 layer of 2 tanh units, mean absolute error one beyond"]
    assert (
        beyond.theirs == "0.178 (heat map)" and beyond.ours == "best 0.180; 0.180 / 0.185 / 0.190"
    )
    assert {row.theirs for row in MEMORY.rows(example("gru"))} == {"-"}


@pytest.mark.parametrize(
    "word", ["layers=0", "seeds=101", "positions=30", "cell=relu", "updates=0", "shortest=40"]
)
def test_settings_that_do_not_fit(word: str):
    with pytest.raises(InputProblem, match=word.split("=")[0]):
        read_settings(MEMORY.settings, [word])
