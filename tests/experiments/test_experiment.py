"""Settings of experiments from words."""

from dataclasses import dataclass

import pytest

from limitset import InputProblem
from limitset.experiments import read_settings


@dataclass(frozen=True)
class Plan:
    seeds: int = 3
    noise: float = 0.1
    task: str = "digits"
    exact: bool = False
    limit: int | None = None


def test_words_become_settings():
    words = ["seeds=5", "noise=1e-3", "task=a=b", "exact=true", "limit=7"]
    assert read_settings(Plan, words) == Plan(5, 1e-3, "a=b", True, 7)
    assert read_settings(Plan, ["limit=none"]) == read_settings(Plan, []) == Plan()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds"], "has no value; give key=value"),
        (["seed=3"], "setting 'seed' is not known; use one of seeds, noise, task, exact, limit"),
        (["seeds=3", "seeds=3"], "seeds is set twice"),
        (["seeds=3.5"], "seeds is '3.5'; give a whole number"),
        (["seeds="], "seeds is ''; give a whole number"),
        (["noise=small"], "noise is 'small'; give a number"),
        (["exact=1"], "exact is '1'; give true or false"),
        (["limit=x"], "limit is 'x'; give a whole number"),
    ],
)
def test_other_words_are_refused(words, message):
    with pytest.raises(InputProblem, match=message) as caught:
        read_settings(Plan, words)
    assert "\n" not in str(caught.value)
