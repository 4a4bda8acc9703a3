"""The experiments by name: each is whole, and can be drawn."""

import dataclasses

import pytest

from limitset import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.report import EXPERIMENT_DRAWINGS


def test_names_are_those_of_the_command():
    names = {"replicate", "soup", "addition", "mnist", "prune", "robustness", "memory", "goals"}
    assert set(EXPERIMENTS) == names
    assert set(EXPERIMENT_DRAWINGS) == names
    assert all(name == experiment.name for name, experiment in EXPERIMENTS.items())


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_settings_have_defaults_and_can_be_given_as_words(name: str):
    experiment = EXPERIMENTS[name]
    settings = read_settings(experiment.settings, [])
    assert settings.seeds >= 3
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        plain = value is None or isinstance(value, bool)
        word = str(value).lower() if plain else str(value)
        assert read_settings(experiment.settings, [f"{field.name}={word}"]) == settings
    with pytest.raises(InputProblem, match="seeds is"):
        read_settings(experiment.settings, ["seeds=0"])


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_titles_are_one_line(name: str):
    assert EXPERIMENTS[name].title and "\n" not in EXPERIMENTS[name].title
