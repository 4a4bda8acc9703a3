"""The experiments by name, as `limitset.experiments` computes them -> how each is drawn."""

from collections.abc import Callable

import xarray

from limitset.report._addition_figure import draw_addition
from limitset.report._goals_figure import draw_goals
from limitset.report._memory_distance_figure import draw_memory_distance
from limitset.report._mnist_figure import draw_mnist
from limitset.report._prune_figure import draw_prune
from limitset.report._replicate_figure import draw_replicate
from limitset.report._robustness_figure import draw_robustness
from limitset.report._soup_figure import draw_soup

# Each gives its figures, SVG text, in the order in which they are to be seen.
EXPERIMENT_DRAWINGS: dict[str, Callable[[xarray.Dataset], tuple[str, ...]]] = {
    "replicate": draw_replicate,
    "soup": draw_soup,
    "addition": draw_addition,
    "mnist": draw_mnist,
    "prune": draw_prune,
    "robustness": draw_robustness,
    "memory": draw_memory_distance,
    "goals": draw_goals,
}
