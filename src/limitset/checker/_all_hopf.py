"""The statement `all_hopf`: every Hopf point of `x' = tanh((W + a I) x + b)` over all real `a`.

For a simple eigenvalue `mu + i w`, `w > 0`, of W, and no other but its conjugate with real part
`mu`: at `a = -mu` the equilibrium is unique, `J = W + a I` there, the pair crosses at speed 1, and
`l1 = w^2 Im sum_i conj(p_i) q_i |q_i|^2`. Elsewhere no pair is on the axis.
"""

from typing import Any

from flint import acb, acb_mat, arb

from limitset.checker._document import NotProved, require, take, take_list
from limitset.checker._field import read_field
from limitset.checker._hopf import compare, compare_cycles, squared_length
from limitset.checker._network import Network

_MOST = 256
_POINT = "parameter frequency lyapunov_coefficient unstable cycles stable"


def prove_all_hopf(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "pure_class", "the theorem is unknown")
    field = read_field(network, document["network"]["config"]["kind"], _MOST)
    module = network.modules[0]
    constants = (module.form, module.activation, module.leak, module.time_constant)
    fits = constants == ("firing_rate", "tanh", 0.0, 1.0)
    require(fits, "the theorem is about firing rates with tanh, leak 0 and time constant 1")
    matrix = acb_mat(field.weight)
    try:
        values, left, right = matrix.eig(left=True, right=True)
    except (ValueError, ZeroDivisionError):
        raise NotProved("simple eigenvalues are not established") from None
    for k, value in enumerate(values):
        # The conjugate of an eigenvalue is one: if it can be no other one, both are the same.
        others = (other for j, other in enumerate(values) if j != k)
        is_real = not any(other.conjugate().overlaps(value) for other in others)
        known = is_real or value.imag > 0 or value.imag < 0
        require(known, "whether an eigenvalue is real is not established")
    upper = [k for k, value in enumerate(values) if value.imag > 0]
    upper.sort(key=lambda k: float(-values[k].real.mid()))
    points = take_list(take(document["claim"], "points")[0])
    require(len(points) == len(upper), "the number of Hopf points is another")
    for k, point in zip(upper, points, strict=True):
        take(point, _POINT)
        compare(point["parameter"], -values[k].real, "parameter")
        compare(point["frequency"], values[k].imag, "frequency")
        n = matrix.nrows()
        q, p = [right[i, k] for i in range(n)], [left[k, i] for i in range(n)]
        coefficient = _lyapunov_coefficient(values[k].imag, q, p)
        compare_cycles(point, coefficient, _count_right(values, k), arb(1))


def _count_right(values: list[acb], k: int) -> int:
    """Eigenvalues with a larger real part than the k-th, if only its conjugate has the same."""
    mu = values[k].real
    right = sum(bool(value.real > mu) for value in values)
    left = sum(bool(value.real < mu) for value in values)
    alone = right + left == len(values) - 2
    require(alone, "a single pair of eigenvalues on the axis is not established")
    return right


def _lyapunov_coefficient(w: arb, q: list[acb], p: list[acb]) -> arb:
    """`w^2 Im(sum conj(p) q |q|^2) / (<p, q> |q|^2)` for vectors of any length; p is conjugated."""
    sizes = [squared_length([entry]) for entry in q]
    products = [a * b for a, b in zip(p, q, strict=True)]
    weighted = sum((a * s for a, s in zip(products, sizes, strict=True)), acb(0))
    return w * w * (weighted / sum(products, acb(0))).imag / sum(sizes, arb(0))
