"""How networks come to replicate: sizes, resumption, rows beside the published numbers."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.sweeps import SweepProgress

REPLICATE = EXPERIMENTS["replicate"]
LITTLE = [
    *("seeds=1", "networks=2", "epochs=2", "mixed_networks=1", "mixed_step=1"),
    *("large=12", "steps=100"),
]


@pytest.mark.slow
def test_it_goes_on_from_its_store(tmp_path: Path):
    seen = list[SweepProgress]()
    settings = read_settings(REPLICATE.settings, LITTLE)
    found = REPLICATE.compute(settings, tmp_path / "store", None)
    again = REPLICATE.compute(settings, tmp_path / "store", seen.append)
    assert [(one.found, one.total) for one in seen] == [(1, 1)]
    xarray.testing.assert_identical(found, again)
    assert np.allclose(found["applied"].sum("kind"), 2)
    assert found["mixed"].shape == (1, 3, 11)
    assert found["rows"].shape == (1, 101, 12, 4)


@pytest.mark.slow
def test_organism_counts_of_2019():
    """Kinds of 50 networks: weightwise all train to replicators, aggregating none do."""
    words = ["seeds=1", "large=12", "steps=100", "mixed_networks=20"]
    found = REPLICATE.compute(read_settings(REPLICATE.settings, words), None, None).isel(seed=0)
    assert np.abs(found["applied"] - found["published_applied"]).max() <= 9
    trained = found["trained"].values
    assert trained[0, 2] == 50 and trained[1, 4] == 50
    assert np.abs(trained - found["published_trained"]).max() <= 9
    assert np.abs(found["mixed"][0] - found["published_mixed"]).max() < 0.45
    assert float(found["mixed"][1].min()) >= 0.8 and float(found["mixed"][2].max()) <= 0.2


def example() -> xarray.Dataset:
    applied = np.zeros((2, 3, 5))
    applied[:, 0, 0], applied[:, 0, 1] = (20, 24), (30, 26)
    names = ("collapsed", "exploded", "replicating", "divergent", "floor", "floor64")
    variants = {name: (("seed", "variant"), [[0.5], [0.7]]) for name in names}
    return xarray.Dataset(
        {
            "applied": (("seed", "reduction", "kind"), applied),
            "trained": (("seed", "reduction", "kind"), np.full((2, 3, 5), 10.0)),
            "published_applied": (("reduction", "kind"), [[23, 27, 0, 0, 0]] * 3),
            "published_trained": (("reduction", "kind"), [[0, 0, 50, 0, 0]] * 3),
            "mixed": (("seed", "reduction", "trainings"), np.full((2, 3, 2), 0.25)),
            "steps": (("seed", "variant", "part"), [[[1, 2, 3]], [[3, 4, 5]]]),
            **variants,
        },
        coords={"trainings": [0, 50], "part": [0.1, 0.5, 0.9]},
        attrs={
            "reductions": ["weightwise", "aggregating", "recurrent"],
            "kinds": ["divergent", "zero", "identity", "secondary", "other"],
            "variants": ["4-2-2-1 raw"],
            "networks": 50,
            "epochs": 1000,
        },
    )


def test_rows_say_what_was_published_and_what_was_found():
    rows = {row.quantity: row for row in REPLICATE.rows(example())}
    one = rows["weightwise, 100 self-applications: divergent"]
    assert (one.theirs, one.ours) == ("23 of 50 (log)", "20 / 22 / 24 of 50")
    assert "weightwise, 100 self-applications: secondary" not in rows
    turns = next(row for name, row in rows.items() if name.startswith("aggregating, fixpoints"))
    assert (turns.theirs, turns.ours) == ("0.8 to 1 (log)", "0.25 0.25 / 0.25 0.25 / 0.25 0.25")
    steps = rows["4-2-2-1 raw, steps to 1e-5"]
    assert (steps.theirs, steps.ours) == ("-", "median 2 / 3 / 4; 10 and 90 %: 2 and 4")


@pytest.mark.parametrize("word", ["seeds=0", "networks=0", "epochs=0", "large=11", "steps=99"])
def test_refuses_sizes(word: str):
    with pytest.raises(InputProblem, match="give a whole number from"):
        read_settings(REPLICATE.settings, [word])
