"""How a network is shown weights, and how its answers become weights again."""

import abc
from dataclasses import dataclass

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.replication._particle import Weights, apply_to, ask, draw_particles, questions
from limitset.replication._particle_spec import ParticleSpec


class AbstractReduction(abc.ABC):
    """A kind of network that can be applied to weights, its own among them.

    Networks are far smaller than the list of their weights, so weights reach them reduced: one by
    one, as averages, or as a sequence. Subclasses are frozen dataclasses: equal ones compile once.
    """

    @property
    @abc.abstractmethod
    def weight_count(self) -> int:
        """How many weights, `n`."""

    @abc.abstractmethod
    def draw(self, key: jax.Array, count: int, dtype: DTypeLike) -> Float[Array, "count n"]:
        """Random networks, as the sources start them."""

    @abc.abstractmethod
    def lesson(self, subject: Weights) -> tuple[Float[Array, "k p"], Float[Array, "k q"]]:
        """What training on these weights shows, one sample a row, and what it wants to hear."""

    @abc.abstractmethod
    def answer(self, weights: Weights, shown: Float[Array, "k p"]) -> Float[Array, "k q"]:
        """What the network says to each sample."""

    @abc.abstractmethod
    def rewrite(self, weights: Weights, subject: Weights) -> Weights:
        """The subject's weights after the network was applied to them."""


@dataclass(frozen=True)
class Weightwise(AbstractReduction):
    """Weight by weight: a particle is asked for each, by its value and place.

    **Arguments:** `spec`. Wherever a reduction is wanted, the spec itself may be given.
    """

    spec: ParticleSpec

    @property
    def weight_count(self) -> int:
        """The weights of the particle."""
        return self.spec.weight_count

    def draw(self, key: jax.Array, count: int, dtype: DTypeLike) -> Float[Array, "count n"]:
        """As `draw_particles`."""
        return draw_particles(key, self.spec, count, dtype)

    def lesson(self, subject: Weights) -> tuple[Float[Array, "k p"], Float[Array, "k q"]]:
        """A question for each weight; its value."""
        return questions(self.spec, subject), subject[:, None]

    def answer(self, weights: Weights, shown: Float[Array, "k p"]) -> Float[Array, "k q"]:
        """The particle's answers."""
        return ask(self.spec, weights, shown)[:, None]

    def rewrite(self, weights: Weights, subject: Weights) -> Weights:
        """The particle's answers, as weights."""
        return apply_to(self.spec, weights, subject)


Spec = ParticleSpec | AbstractReduction


def as_reduction(spec: Spec) -> AbstractReduction:
    """The reduction that this is, weight by weight for a `ParticleSpec`.

    **Raises:** `InputProblem` for anything else.
    """
    if isinstance(spec, AbstractReduction):
        return spec
    if isinstance(spec, ParticleSpec):
        return Weightwise(spec)
    raise InputProblem(
        f"spec is a {type(spec).__name__}; give a ParticleSpec, or a reduction such as Aggregating"
    )
