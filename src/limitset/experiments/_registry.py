"""The experiments by name: what `limitset organism` offers."""

from limitset.experiments._addition import ADDITION
from limitset.experiments._experiment import Experiment
from limitset.experiments._goals import GOALS
from limitset.experiments._memory import MEMORY
from limitset.experiments._mnist import MNIST
from limitset.experiments._prune import PRUNE
from limitset.experiments._replicate import REPLICATE
from limitset.experiments._robustness import ROBUSTNESS
from limitset.experiments._soup import SOUP

_ALL: tuple[Experiment, ...] = (
    REPLICATE,
    SOUP,
    ADDITION,
    MNIST,
    PRUNE,
    ROBUSTNESS,
    MEMORY,
    GOALS,
)

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}
