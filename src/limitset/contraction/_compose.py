"""The verbs `compose` and `compose_maps`: certificates in, one certificate of the whole out."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown, frozen, require_certificate
from limitset.contraction._composition import join_quadratic
from limitset.contraction._small_gain import join_by_gains
from limitset.contraction._wiring import Wiring, wiring_of
from limitset.dynamics import CompositeMap
from limitset.networks import Composite
from limitset.proofs import require_sound_arithmetic

# Sums of squares combine further under feedback: they stand unless the maximum gains more.
_WORTH = 1 + 1e-3


def compose(
    parts: Sequence[Certificate],
    coupling: Float[Array, "n n"],
    *,
    speeds: Float[Array, " p"] | None = None,
) -> Certificate | Unknown:
    """Couple certified flows: `x_i' = speeds_i f_i(x_i, u) + sum_j L_ij x_j`.

    The parts are not proved again: their certificates are data, and the answer has the least
    evidence among them. It may be composed again, to any depth, and is checked as a whole.

    **Arguments:**

    - `parts`: certificates of flows, all with the same inputs.
    - `coupling`: `L`, shape (n, n), constant; `skew_feedback` and `dissipative_coupling` make
      couplings that cost nothing.
    - `speeds`: shape (p,), positive; all 1 if omitted.

    **Returns:** the certificate of the `Composite`, by `composition` or `small_gain`, or `Unknown`
    with the pair of parts, and, under `composition`, the direction that fail.

    **Raises:** `InputProblem` if the parts do not fit, or are maps.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import certify, skew_feedback
    >>> from limitset.networks import RateNetwork
    >>> part = certify(RateNetwork(jnp.array([[-2.0, 0.5], [0.5, -2.0]])))
    >>> lower = jnp.zeros((4, 4)).at[2:, :2].set(1e4)
    >>> whole = compose([part, part], skew_feedback(lower, [part.metric, part.metric]))
    >>> whole.theorem, round(whole.rate, 6) == round(part.rate, 6)
    ('composition', True)

    **Reference:** arXiv 2106.08928.
    """
    systems = [part.system for part in _certificates(parts)]
    if not all(isinstance(system, AbstractFlow) for system in systems):
        raise InputProblem("a part is a map; compose_maps joins maps, compose joins flows")
    flows = tuple(system for system in systems if isinstance(system, AbstractFlow))
    return _join(Composite(flows, frozen(coupling), frozen(speeds)), parts)


def compose_maps(
    parts: Sequence[Certificate], mixing: Float[Array, "n n"]
) -> Certificate | Unknown:
    """Mix certified maps: `x+ = mixing concat(f_i(x_i, u))`; otherwise as `compose`.

    **Arguments:**

    - `parts`: certificates of maps, all with the same inputs.
    - `mixing`: shape (n, n); `propagator` makes one from a coupling.

    **Returns:** the certificate of the `CompositeMap`, or `Unknown` with the pair of parts.

    **Raises:** `InputProblem` if the parts do not fit, or are flows.
    """
    systems = [part.system for part in _certificates(parts)]
    if not all(isinstance(system, AbstractMap) for system in systems):
        raise InputProblem("a part is a flow; compose joins flows, compose_maps joins maps")
    maps = tuple(system for system in systems if isinstance(system, AbstractMap))
    return _join(CompositeMap(maps, frozen(mixing)), parts)


def _join(system: Composite | CompositeMap, parts: Sequence[Certificate]) -> Certificate | Unknown:
    require_sound_arithmetic()
    wiring = wiring_of(system)
    if not isinstance(wiring, Wiring):
        raise InputProblem(wiring)
    if not np.isfinite(wiring.matrix).all():
        raise InputProblem("the coupling holds NaN or infinity; give finite numbers")
    squares, gains = join_quadratic(wiring, tuple(parts)), join_by_gains(wiring, tuple(parts))
    if isinstance(squares, Unknown):
        # Where the metrics do not even combine under feedback, the gains say how much is missing.
        return gains if isinstance(gains, Certificate) or squares.pair is None else squares
    if isinstance(gains, Unknown):
        return squares
    return gains if gains.margin > squares.margin * _WORTH else squares


def _certificates(parts: Sequence[Certificate]) -> list[Certificate]:
    if not isinstance(parts, Sequence):
        raise InputProblem(f"parts is a {type(parts).__name__}; give a list of certificates")
    return [require_certificate(part) for part in parts]
