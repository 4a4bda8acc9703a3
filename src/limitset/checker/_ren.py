"""Recurrent equilibrium networks: `x+ = A x + B1 w + ...`, `w = phi(C1 x + D11 w + ...)`.

Differences obey `dw_i = d_i dv_i` with `d_i` in `[0, g]`, so `q_i dw_i (g dv_i - dw_i) >= 0`. If
`r^2 |dx|^2 - |dx+|^2` less these terms is positive definite in `(dx, dw)`, then r is a factor.
"""

from typing import Any

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._contraction import read_form, read_value
from limitset.checker._document import Tensor, require, take, take_tensor
from limitset.checker._network import ACTIVATIONS, Network

_MOST = 512


def read_ren(value: Any) -> Network:
    """The network, if its tensors are exactly the eight that it needs, and D11 is triangular."""
    config, entries = take(value, "config tensors")
    activation = take(config, "kind activation")[1]
    known = isinstance(activation, str) and activation in ACTIVATIONS
    require(known and isinstance(entries, dict), "the activation is unknown")
    tensors = {name: take_tensor(entry) for name, entry in entries.items()}
    n, m = (*tensors["B2"].shape, 0, 0)[:2] if "B2" in tensors else (0, 0)
    k = (*tensors["bv"].shape, 0)[0] if "bv" in tensors else 0
    shapes: dict[str, tuple[int, ...]] = {"A": (n, n), "B1": (n, k), "B2": (n, m), "bx": (n,)}
    shapes |= {"C1": (k, n), "D11": (k, k), "D12": (k, m), "bv": (k,)}
    fits = {name: tensor.shape for name, tensor in tensors.items()} == shapes
    require(fits, "the tensors are not those, in name and shape, that the network needs")
    require(0 < n <= _MOST and k <= _MOST, f"there are no states, or over {_MOST} of a kind")
    above = (tensors["D11"].values[i * k + j] for i in range(k) for j in range(i, k))
    require(not any(above), "D11 is not strictly lower triangular")
    return Network("ren", [], tensors, (0.0,) * n, (1.0,) * n, "ren", activation)


def prove_ren(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    value = read_value(document, network)
    require(bool(value >= 0 and value < 1), "no factor in [0, 1)")
    P, (A, B, C, D) = read_form(document, network), map(_matrix, _four(network))
    n, k = B.nrows(), B.ncols()
    dtype, shape, _, values = take_tensor(take(document["witness"], "multipliers")[0])
    fits = (dtype, shape) == ("float64", (k,)) and min(values, default=1.0) > 0
    require(fits, "the multipliers do not fit the network")
    g, q = ACTIVATIONS[network.activation][1], list(map(arb, values))
    corner = P * (value * value) - A.transpose() * P * A
    whole = arb_mat(n + k, n + k)
    for i in range(n):
        for j in range(n):
            whole[i, j] = (corner[i, j] + corner[j, i]) / 2
    if k:
        across, rest = A.transpose() * P * B, B.transpose() * P * B
        for j in range(k):
            for i in range(n):
                whole[i, n + j] = whole[n + j, i] = -across[i, j] - g * q[j] * C[j, i]
            for i in range(j + 1):
                own = g * (q[j] * D[j, i] + q[i] * D[i, j]) + (rest[i, j] + rest[j, i]) / 2
                whole[n + i, n + j] = whole[n + j, n + i] = 2 * q[j] * (i == j) - own
    require(is_positive_definite(whole), "the inequality of the network is not established")


def _four(network: Network) -> list[Tensor]:
    return [network.tensors[name] for name in ("A", "B1", "C1", "D11")]


def _matrix(tensor: Tensor) -> arb_mat:
    rows, columns = tensor.shape
    return arb_mat(rows, columns, tensor.values) if tensor.values else arb_mat(rows, columns)
