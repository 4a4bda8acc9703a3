"""An organism: a network without biases in which every weight is a particle network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from limitset._result import InputProblem, require_arrays
from limitset._system import AbstractMap
from limitset._types import Input, State, StepIndex
from limitset.networks import IDENTITY, Activation
from limitset.replication._columns import kappa_of_columns
from limitset.replication._particle import ask, draw_particles
from limitset.replication._particle_spec import QUESTION, ParticleSpec
from limitset.replication._plain import PlainNetwork, forward_plain, hidden_activations

# The particles of an organism: four inputs ask for a weight, the fifth hears the edge's source.
ORGANISM_SPEC = ParticleSpec(inputs=QUESTION + 1, widths=(5, 5))


class Organism(AbstractMap):
    """A layered network whose edges are particles: `y_c = a(sum_e N_{l,c,e}(0, 0, 0, 0, y_e))`.

    A cell adds up what its particles answer; nothing tells a particle where it stands. As a map
    it has no memory: the next state is the answer to the input.

    **Arguments:**

    - `particles`: weights of all particles, (N, n): layer by layer, cell by cell, edge by edge.
    - `sizes` of the layers, inputs first, so that `N = sum_l sizes_l sizes_{l-1}`.
    - `activations`, one for each layer of cells; `hidden_activations` leaves out the last.
    - `spec` of all particles, with five inputs.
    - `kept`: which particles answer; the others answer 0. All by default.

    **Raises:** `InputProblem` for sizes that do not fit.

    **Reference:** arXiv 2212.10078.
    """

    particles: Float[Array, "N n"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    activations: tuple[Activation, ...] = eqx.field(static=True)
    spec: ParticleSpec = eqx.field(static=True)
    kept: Bool[Array, " N"]

    def __init__(
        self,
        particles: Float[Array, "N n"],
        sizes: tuple[int, ...],
        activations: tuple[Activation, ...],
        spec: ParticleSpec = ORGANISM_SPEC,
        kept: Bool[Array | np.ndarray, " N"] | None = None,
    ) -> None:
        require_arrays(particles=particles)
        count = edge_count(sizes)
        if spec.inputs != QUESTION + 1:
            raise InputProblem(f"spec has {spec.inputs} inputs; particles of an organism have 5")
        if particles.shape != (count, spec.weight_count):
            raise InputProblem(
                f"particles have shape {particles.shape}; ({count}, {spec.weight_count}) is needed"
            )
        if len(activations) != len(sizes) - 1:
            raise InputProblem(
                f"{len(activations)} activations came for {len(sizes) - 1} layers; give one each"
            )
        self.particles, self.sizes, self.activations = particles, sizes, activations
        self.spec = spec
        self.kept = jnp.ones(count, bool) if kept is None else jnp.asarray(kept)
        if self.kept.shape != (count,) or self.kept.dtype != bool:
            raise InputProblem(
                f"kept has shape {self.kept.shape} and {self.kept.dtype}; give {count} truth values"
            )

    @property
    def state_size(self) -> int:
        """The outputs of the network."""
        return self.sizes[-1]

    @property
    def input_size(self) -> int:
        """The inputs of the network."""
        return self.sizes[0]

    def advance(self, n: StepIndex, x: State, u: Input) -> State:
        """The answer to `u`; the state before does not matter."""
        del n, x
        return forward(self, u[None])[0]


def edge_count(sizes: tuple[int, ...]) -> int:
    """How many edges, and so particles, a network of these sizes has.

    >>> edge_count((2, 3, 3, 1)), edge_count((225, 5, 5, 10))
    (18, 1200)
    """
    if not (
        isinstance(sizes, tuple)
        and len(sizes) > 1
        and all(isinstance(size, int) and size > 0 for size in sizes)
    ):
        raise InputProblem(
            f"sizes is {sizes!r}; give a tuple of two or more positive whole numbers, inputs first"
        )
    return sum(below * above for below, above in zip(sizes, sizes[1:], strict=False))


def edge_places(sizes: tuple[int, ...]) -> Int[np.ndarray, "N 3"]:
    """Layer, cell and edge of every particle, counted from 0, in the order of `particles`.

    >>> edge_places((2, 1, 1)).tolist()
    [[0, 0, 0], [0, 0, 1], [1, 0, 0]]
    """
    edge_count(sizes)
    parts = []
    for layer, (sources, cells) in enumerate(zip(sizes, sizes[1:], strict=False)):
        cell, edge = np.indices((cells, sources)).reshape(2, -1)
        parts.append(np.stack([np.full(cell.shape, layer), cell, edge], axis=1))
    return np.concatenate(parts)


def draw_organism(
    key: jax.Array,
    sizes: tuple[int, ...],
    *,
    activation: Activation = IDENTITY,
    spec: ParticleSpec = ORGANISM_SPEC,
    dtype: DTypeLike = jnp.float32,
) -> Organism:
    """An organism of random particles, with `activation` after all layers but the last.

    **Arguments:** `key`; `sizes` of the layers, inputs first; `activation` of the cells; `spec` of
    the particles; `dtype`, float32 or float64.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> draw_organism(jax.random.key(0), (2, 3, 3, 1)).particles.shape
    (18, 55)
    """
    particles = draw_particles(key, spec, edge_count(sizes), dtype)
    return Organism(particles, sizes, hidden_activations(len(sizes) - 1, activation), spec)


def edge_weights(organism: Organism) -> Float[Array, " N"]:
    """What every linear particle multiplies its input by, `kappa_4`; 0 for those dropped.

    **Raises:** `InputProblem` for particles that are not linear.
    """
    require_linear(organism)
    slopes = kappa_of_columns(organism.spec, organism.particles.T)[QUESTION]
    return jnp.where(organism.kept, slopes, 0)


def plain_network(organism: Organism) -> PlainNetwork:
    """The plain network that an organism of linear particles is: `A_l[c, e] = kappa_4(l, c, e)`.

    **Raises:** `InputProblem` for particles that are not linear.

    >>> organism = draw_organism(jax.random.key(0), (2, 3, 1))
    >>> [weight.shape for weight in plain_network(organism).weights]
    [(3, 2), (1, 3)]
    """
    slopes = edge_weights(organism)
    return PlainNetwork(unstack_edges(slopes, organism.sizes), organism.activations)


def unstack_edges(
    values: Float[Array, " N"], sizes: tuple[int, ...]
) -> tuple[Float[Array, "_ _"], ...]:
    """One number for each particle as matrices, (cells, edges), layer by layer."""
    start, parts = 0, []
    for sources, cells in zip(sizes, sizes[1:], strict=False):
        parts.append(values[start : start + cells * sources].reshape(cells, sources))
        start += cells * sources
    return tuple(parts)


def forward(organism: Organism, x: Float[Array, "b m"]) -> Float[Array, "b k"]:
    """What the organism answers to each row of `x`, by the cheapest path that is exact.

    Organisms of linear particles answer as their `plain_network`, all others by `forward_expanded`.

    >>> organism = draw_organism(jax.random.key(0), (2, 3, 1), dtype=jnp.float64)
    >>> x = jnp.ones((4, 2))
    >>> bool(jnp.allclose(forward(organism, x), forward_expanded(organism, x), atol=1e-12))
    True
    """
    if organism.spec.is_linear:
        return forward_plain(plain_network(organism), x)
    return forward_expanded(organism, x)


def forward_expanded(organism: Organism, x: Float[Array, "b m"]) -> Float[Array, "b k"]:
    """What the organism answers to each row of `x`, every particle asked on its own.

    Particles may be of any kind. In a task the inputs that ask for a weight are 0.
    """
    spec, start = organism.spec, 0

    def answer(weights: Float[Array, " n"], heard: Float[Array, " b"]) -> Float[Array, " b"]:
        rows = jnp.zeros((heard.shape[0], spec.inputs), heard.dtype).at[:, QUESTION].set(heard)
        return ask(spec, weights, rows)

    for sources, cells, activation in zip(
        organism.sizes, organism.sizes[1:], organism.activations, strict=False
    ):
        part = slice(start, start + cells * sources)
        weights = organism.particles[part].reshape(cells, sources, -1)
        kept = organism.kept[part].reshape(cells, sources, 1)
        said = jax.vmap(jax.vmap(answer, in_axes=(0, 1)), in_axes=(0, None))(weights, x)
        x = activation(jnp.where(kept, said, 0).sum(1).T)
        start = part.stop
    return x


def drop(organism: Organism, dropped: Bool[Array | np.ndarray, " N"]) -> Organism:
    """The organism in which these particles answer 0.

    Their weights stay, and so does what they are: a particle of zero weights would be another.

    **Raises:** `InputProblem` unless there is a truth value for each particle.
    """
    require_arrays(dropped=dropped)
    if dropped.shape != organism.kept.shape or dropped.dtype != bool:
        raise InputProblem(
            f"dropped has shape {dropped.shape} and {dropped.dtype}; give "
            f"{organism.kept.size} truth values"
        )
    return eqx.tree_at(lambda one: one.kept, organism, organism.kept & ~jnp.asarray(dropped))


def require_linear(organism: Organism) -> None:
    """Refuse particles that are no linear functions."""
    if not organism.spec.is_linear:
        name = organism.spec.activation.name
        raise InputProblem(
            f"particles with activation {name!r} have no edge weight; use forward_expanded"
        )
