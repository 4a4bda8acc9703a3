"""A box that a gated network does not leave."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset.networks import NONLINEARITIES, GatedNetwork


def absorbing_box(network: GatedNetwork, *, input_bound: float = 0.0) -> Float[Array, " n"]:
    """Half-widths of a box of states that no trajectory leaves, and that all approach.

    `|h_i| <= sum_j |state_weight_ij| + |state_input_i| + input_bound sum_k |input_weight_ik|`, and
    likewise for `z` and `r`: units and gates stay below 1, and every variable decays towards its
    target. For all gains, biases and time constants. Evidence: float64, the sums are not rounded
    outward.

    **Arguments:** `network`; `input_bound`, a bound of `|u_k|` at all times.

    **Returns:** shape (3n,), for `(h, z, r)`.

    **Raises:** `InputProblem` for a negative bound, or units whose bound is not known.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import GatedParameters
    >>> weight = jnp.array([[0.5, -1.0], [2.0, 0.0]])
    >>> absorbing_box(GatedNetwork(weight, weight, 0 * weight, GatedParameters())).tolist()
    [1.5, 2.0, 1.5, 2.0, 0.0, 0.0]
    """
    if network.parameters.nonlinearity not in NONLINEARITIES.values():
        raise InputProblem(
            f"no bound of the units of {network.parameters.nonlinearity.name!r} is known; use one "
            f"of {', '.join(NONLINEARITIES)}"
        )
    if not 0 <= input_bound < float("inf"):
        raise InputProblem(f"input_bound is {input_bound}; give a finite number, 0 or positive")
    weights = (network.state_weight, network.update_weight, network.output_weight)
    constant = (network.state_input, network.update_input, network.output_input)
    within = jnp.concatenate([jnp.sum(jnp.abs(weight), 1) for weight in weights])
    entering = input_bound * jnp.sum(jnp.abs(network.input_weight), 1)
    return within + jnp.abs(jnp.concatenate(constant)) + entering
