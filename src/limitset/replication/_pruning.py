"""Which particles of an organism can go: rules that rank them, and what is left."""

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem
from limitset.replication._fixpoint_class import FixpointClass, classify
from limitset.replication._organism import Organism, drop, edge_weights, plain_network
from limitset.replication._organism_tasks import Targets, task_loss
from limitset.replication._plain import PlainNetwork, forward_plain, layer_inputs


class PruningRule(enum.Enum):
    """By what particles are ranked; those with the least go first.

    `REPLICATION_ERROR` `max_i |T(theta)_i - theta_i|`: the best replicators go. `PARAMETERS`, the
    sum of all `|theta_i|` of a particle. `EDGE_WEIGHT` `|kappa_4|`, which is the magnitude of the
    weight in the plain network. `ACTIVITY` `|kappa_4|` times the root mean square of what the edge
    hears. `SALIENCY` `|kappa_4 dloss/dkappa_4|`. `RANDOM`, any order.
    """

    REPLICATION_ERROR = "replication_error"
    PARAMETERS = "parameters"
    EDGE_WEIGHT = "edge_weight"
    ACTIVITY = "activity"
    SALIENCY = "saliency"
    RANDOM = "random"


def find_replicators(organism: Organism, tolerance: float = 1e-5) -> Bool[np.ndarray, " N"]:
    """Which particles replicate and are not zero, by `classify` in float64."""
    labels = classify(organism.spec, organism.particles, tolerance=tolerance)
    return labels.classes == FixpointClass.IDENTITY


def rank_particles(
    organism: Organism,
    rule: PruningRule,
    *,
    inputs: Float[Array, "b m"],
    targets: Targets,
    key: jax.Array,
) -> Float[np.ndarray, " N"]:
    """How much each particle matters, by this rule, in float64.

    **Arguments:** `organism` of linear particles; `rule`; `inputs` and `targets`, of the samples
    that `ACTIVITY` and `SALIENCY` look at: those of training, never those of the test; `key` of
    `RANDOM`.

    **Raises:** `InputProblem` for particles that are not linear.
    """
    match rule:
        case PruningRule.REPLICATION_ERROR:
            found = classify(organism.spec, organism.particles).replication
        case PruningRule.PARAMETERS:
            found = np.abs(np.asarray(organism.particles, np.float64)).sum(1)
        case PruningRule.EDGE_WEIGHT:
            found = np.abs(_slopes(organism))
        case PruningRule.ACTIVITY:
            found = _activity(_network(organism), inputs)
        case PruningRule.SALIENCY:
            found = _saliency(_network(organism), inputs, targets)
        case PruningRule.RANDOM:
            found = jax.random.permutation(key, len(organism.particles))
    return np.asarray(found, np.float64)


def drop_lowest(
    organism: Organism, ranks: Float[np.ndarray, " N"], count: int, key: jax.Array
) -> Organism:
    """The organism without the `count` particles that matter least; equals in an order of `key`.

    **Raises:** `InputProblem` for counts that do not fit, and ranks that are NaN.
    """
    if not (isinstance(count, int) and 0 <= count <= len(ranks)):
        raise InputProblem(f"count is {count!r}; give a whole number from 0 to {len(ranks)}")
    if np.isnan(ranks).any():
        raise InputProblem("ranks hold NaN; such particles have diverged, train with a lower rate")
    order = np.lexsort((np.asarray(jax.random.permutation(key, len(ranks))), ranks))
    dropped = np.zeros(len(ranks), bool)
    dropped[order[:count]] = True
    return drop(organism, dropped)


def zero_smallest_parameters(organism: Organism, share: float) -> Organism:
    """The organism whose smallest weights of particles are 0, this share of all of them.

    Global magnitude pruning of what is stored, as tools do it to any network. It breaks particles:
    a weight of the plain network is a product of sums of many of these.

    **Raises:** `InputProblem` for a share outside [0, 1].
    """
    if not (isinstance(share, float | int) and 0 <= share <= 1):
        raise InputProblem(f"share is {share!r}; give a number from 0 to 1")
    values = np.array(organism.particles)
    flat = values.reshape(-1)
    flat[np.argsort(np.abs(flat), kind="stable")[: round(share * flat.size)]] = 0
    return eqx.tree_at(lambda one: one.particles, organism, jnp.asarray(values))


# Each compiled as one program, instead of one for each of dozens of products.
_slopes, _network = eqx.filter_jit(edge_weights), eqx.filter_jit(plain_network)


@eqx.filter_jit
def _activity(network: PlainNetwork, x: Float[Array, "b m"]) -> Float[Array, " N"]:
    parts = [
        jnp.abs(weight) * jnp.sqrt(jnp.square(heard).mean(0))
        for weight, heard in zip(network.weights, layer_inputs(network, x), strict=True)
    ]
    return _flat(parts)


@eqx.filter_jit
def _saliency(
    network: PlainNetwork, x: Float[Array, "b m"], targets: Targets
) -> Float[Array, " N"]:
    slope = jax.grad(lambda one: task_loss(forward_plain(one, x), targets))(network)
    pairs = zip(network.weights, slope.weights, strict=True)
    return _flat([jnp.abs(weight * part) for weight, part in pairs])


def _flat(parts: list[Float[Array, "_ _"]]) -> Float[Array, " N"]:
    return jnp.concatenate([part.reshape(-1) for part in parts])
