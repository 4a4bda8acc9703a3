"""Pruning by every rule at the same counts, and the paired test over seeds."""

import numpy as np
import pytest
import xarray
from scipy.stats import permutation_test

from limitset._result import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.experiments._prune import paired_p_value
from limitset.replication import PruningRule

PRUNE = EXPERIMENTS["prune"]


@pytest.fixture(scope="module")
def found() -> xarray.Dataset:
    words = ["seeds=1", "epochs=6", "levels=1", "tuning_epochs=1", "least_deviation=0.05"]
    return PRUNE.compute(read_settings(PRUNE.settings, words), None, None)


@pytest.mark.slow
def test_every_rule_at_every_count(found: xarray.Dataset):
    assert found["pruned"].dims == ("least_deviation", "seed", "rule", "share")
    assert found.attrs["rules"] == [rule.value for rule in PruningRule]
    assert found["share"].values.tolist() == [0.5]
    for name in ("pruned", "tuned", "rewound", "at_replicators", "accuracy"):
        assert ((found[name] >= 0) & (found[name] <= 1)).all()
    assert (found["particles"].isel(seed=0).values[0]) == 395
    assert found["particles"].isel(seed=0).values[1] < 395


@pytest.mark.slow
def test_replicators_are_those_that_replication_error_drops_first(found: xarray.Dataset):
    place = found.attrs["rules"].index(PruningRule.REPLICATION_ERROR.value)
    assert (found["at_replicators"].isel(rule=place) == found["without_replicators"]).all()


@pytest.mark.slow
def test_rows_compare_rules_at_equal_counts(found: xarray.Dataset):
    rows = PRUNE.rows(found)
    assert len(rows) == 2 * (3 + len(PruningRule) + 4)
    assert sum("all pixels" in row.quantity for row in rows) == len(rows) / 2
    assert all("at 50% (p 1)" in row.ours for row in rows if "less that" in row.quantity)


def test_without_rewinding_there_are_no_numbers_of_it():
    words = [
        "seeds=1",
        "epochs=1",
        "levels=1",
        "tuning_epochs=1",
        "rewind=false",
        "least_deviation=0.05",
    ]
    short = PRUNE.compute(read_settings(PRUNE.settings, words), None, None)
    assert np.isnan(short["rewound"]).all()
    assert PRUNE.rows(short)


def test_paired_test_is_that_of_scipy():
    values = np.random.default_rng(0).normal(0.3, 1.0, 8)
    expected = permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=9999
    ).pvalue
    assert np.isclose(paired_p_value(values), expected)
    assert paired_p_value(np.zeros(4)) == 1.0
    assert paired_p_value(np.ones(5)) == 2 / 32


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("levels=0", "levels is 0"),
        ("tuning_epochs=0", "tuning_epochs is 0"),
        ("least_deviation=0", "least_deviation is 0"),
        ("task=letters", "task is 'letters'"),
    ],
)
def test_unusable_settings(word: str, message: str):
    with pytest.raises(InputProblem, match=message):
        read_settings(PRUNE.settings, [word])
