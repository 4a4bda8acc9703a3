"""A loss for certified radii: how far each input is from every other class, at least."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset.dynamics import run_network
from limitset.networks import DeepNetwork


def class_distances(
    network: DeepNetwork,
    inputs: Float[Array, "b m"],
    labels: Int[Array, " b"],
    *,
    norm: str = "euclidean",
    gain: float = 1.0,
) -> Float[Array, "b k"]:
    """How far every input is at least from where each other class scores higher than its own.

        (s_y - s_j) / (gain |w_y - w_j|),      s = W x + b the scores

    with the 2-norm of the readout's rows for perturbations in the 2-norm, and their sums of
    absolute values for the maximum norm. Negative where the other class scores higher. A float64
    or float32 estimate that has a gradient, never a bound: `certified_radii` proves.

    **Arguments:** `network`; `inputs`, shape (b, m); `labels`, shape (b,); `norm`, `"euclidean"` or
    `"maximum"`; `gain` from the input to the last state in that norm, 1 for a `UnitGain`.

    **Returns:** shape (b, k); `inf` for an input's own class.

    **Raises:** `InputProblem` for another norm, or a gain that is not positive.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import DenseOperator, GradientBlock, LinearReadout, Stage
    >>> one = DenseOperator(jnp.eye(1))
    >>> block = GradientBlock(one, None, jnp.zeros(1), jnp.array(1.0), jnp.array(0.0), "relu")
    >>> readout = LinearReadout(jnp.array([[-1.0], [1.0]]), jnp.zeros(2))
    >>> network = DeepNetwork((Stage(block, 1, start=one),), readout)
    >>> class_distances(network, jnp.array([[-3.0]]), jnp.array([0])).tolist()
    [[inf, 3.0]]
    """
    if norm not in ("euclidean", "maximum") or not gain > 0:
        raise InputProblem(
            f'norm {norm!r} and gain {gain} came; give "euclidean" or "maximum", and a positive '
            "gain"
        )
    scores = jax.vmap(lambda u: run_network(network, u))(inputs)
    weight = network.readout.weight
    apart = weight[labels][:, None] - weight
    own = jnp.arange(weight.shape[0]) == labels[:, None]
    # The own class has no distance: 1 in its place, so that roots and quotients have slopes.
    apart = jnp.where(own[:, :, None], 1.0, apart)
    # Rows that agree have a tiny size: their quotient and its slope stay finite.
    tiny = float(jnp.finfo(weight.dtype).tiny) ** 0.5
    if norm == "euclidean":
        sizes = jnp.sqrt(jnp.maximum(jnp.square(apart).sum(2), tiny**2))
    else:
        sizes = jnp.maximum(jnp.abs(apart).sum(2), tiny)
    ahead = jnp.take_along_axis(scores, labels[:, None], 1) - scores
    return jnp.where(own, jnp.inf, ahead / (gain * sizes))


def certified_loss(
    distances: Float[Array, "b k"], *, offset: float, temperature: float
) -> Float[Array, ""]:
    """Mean of `T log(1 + sum over other classes j of exp((offset - d_j) / T))`.

    A smooth form of the hinge `max(0, offset - min d_j)`, its limit for T -> 0: an input counts
    until every other class is further than `offset`. A larger offset buys accuracy at large radii
    with accuracy at small ones, so publish the curve of more than one.

    **Arguments:** `distances` from `class_distances`; `offset`, a radius, 0 or more; `temperature`
    T, a radius, positive: how much beyond the offset still pays.

    **Raises:** `InputProblem` for other numbers.

    >>> import jax.numpy as jnp
    >>> distances = jnp.array([[jnp.inf, 0.5], [3.0, jnp.inf]])
    >>> round(float(certified_loss(distances, offset=1.0, temperature=0.01)), 6)
    0.25

    **Reference:** offset and temperature: arXiv 2208.03160.
    """
    if not (0 <= offset < jnp.inf and 0 < temperature < jnp.inf):
        raise InputProblem(
            f"offset {offset} and temperature {temperature} came; give finite numbers, 0 or more "
            "and positive"
        )
    own = distances == jnp.inf
    # The own class stands for the 1 under the logarithm.
    missing = jnp.where(own, 0.0, (offset - jnp.where(own, offset, distances)) / temperature)
    return temperature * jax.nn.logsumexp(missing, axis=1).mean()
