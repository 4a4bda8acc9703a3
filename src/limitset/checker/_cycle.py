"""The statement `cycle`: one closed orbit near given states, its period and its multipliers."""

from math import isqrt
from typing import Any

from flint import acb, acb_mat, arb

from limitset.checker._document import (
    NotProved,
    TooMuchWork,
    require,
    take,
    take_real,
    take_tensor,
)
from limitset.checker._equilibrium import read_vector, wide_field
from limitset.checker._hopf import compare
from limitset.checker._network import Network
from limitset.checker._shooting import Chain, enclose_orbit, product
from limitset.checker._taylor import Flow, flow_of

CLAIM = (
    "states phase step state_radius step_radius period minimal weight_radius input multipliers "
    "outside stability"
)
_MOST_UNITS, _MOST_FRACTIONS = 32, 100_000
# Segments times products of matrices and overhead: minutes at most.
_MOST_WORK = 5_000_000


def prove_cycle(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "shooting", "the theorem is unknown")
    entries, fixing, *times, period, minimal, spread, entering, multipliers, outside, stability = (
        take(document["claim"], CLAIM)
    )
    require(len(network.modules) == 1, "cycles are checked for rate networks")
    module = network.modules[0]
    fits = module.activation == "tanh" and len(module.biases[0].values) <= _MOST_UNITS
    require(fits, f"cycles are checked for tanh and at most {_MOST_UNITS} units")
    flow = flow_of(wide_field(document, network, entering, take_real(spread)))
    n = len(flow.reach)
    states, phase, discs = (
        _read_states(entries, n),
        read_vector(fixing, n),
        _read_discs(multipliers, n),
    )
    step, *radii = map(take_real, times)
    require(min(radii) > 0 and step > radii[1], "a radius or the step is not positive")
    orbit = enclose_orbit(flow, states, arb(step), phase, *map(arb, radii))
    compare(period, len(states) * orbit.step * arb(module.time_constant), "period")
    known = minimal is False or (minimal is True and _is_minimal(flow, orbit))
    require(known, "that the period is the smallest one is not established")
    _require_multipliers(orbit, discs, outside, stability)


def _read_states(value: Any, n: int) -> list[list[arb]]:
    dtype, shape, _, values = take_tensor(value)
    fits = dtype == "float64" and len(shape) == 2 and shape[1] == n and shape[0] > 0
    require(fits, "the states do not fit the network")
    if shape[0] * (n**3 + 300) > _MOST_WORK:
        raise TooMuchWork("so many segments of so many units are more work than is allowed")
    exact = list(map(arb, values))
    return [exact[i : i + n] for i in range(0, len(exact), n)]


def _read_discs(value: Any, n: int) -> list[tuple[acb, arb]] | None:
    """Centers and radii, one disc for each multiplier but the trivial one."""
    if value is None:
        return None
    parts = [read_vector(part, n - 1) for part in take(value, "real imaginary radius")]
    return [(acb(real, imaginary), radius) for real, imaginary, radius in zip(*parts, strict=True)]


def _require_multipliers(
    orbit: Chain, discs: list[tuple[acb, arb]] | None, outside: Any, stability: Any
) -> None:
    """Require the eigenvalues of the derivative over the period, but for that of the velocity."""
    if discs is None and outside is None and stability == "undecided":
        return
    try:
        slopes = [segment.slope for segment in orbit.segments]
        values = acb_mat(product(slopes)).eig(multiple=True)
    except ValueError:
        raise NotProved("the multipliers are not established") from None
    # The enclosures are matched to the eigenvalues, and 1 is one of these.
    others = [value for value in values if abs(value - 1) > 0]
    alone = len(values) == len(orbit.states[0]) == len(others) + 1
    require(alone, "a single multiplier at 1 is not established")
    left = list(others)
    for center, radius in discs or []:
        inside = [k for k, value in enumerate(left) if abs(value - center) <= radius]
        require(len(inside) > 0, "a disc of the multipliers is not established")
        del left[inside[0]]
    away = sum(bool(abs(value) > 1) for value in others)
    decided = away + sum(bool(abs(value) < 1) for value in others) == len(others)
    counted = outside is None or (decided and type(outside) is int and outside == away)
    require(counted, "the number of multipliers outside the unit circle is not established")
    attracts = stability == "stable" and decided and away == 0
    known = attracts or stability == "undecided" or (stability == "unstable" and away > 0)
    require(known, "the stability is not established")


def _is_minimal(flow: Flow, orbit: Chain) -> bool:
    """Whether no fraction of the period is a period.

    With a Lipschitz constant `L`, `|f(x(t)) - f(x(0))| <= (exp(L t) - 1) |f(x(0))|`: before
    `log 2 / L` the largest entry of `f` keeps its sign, so the orbit cannot return. If `T / k` is a
    period, then so is `T / p` for each prime factor `p` of `k`: `x(T / p)` must differ from `x(0)`.
    """
    m, first = len(orbit.states), orbit.states[0]
    most = m * orbit.step * flow.lipschitz() / arb(2).log()
    if not most < _MOST_FRACTIONS:
        return False
    for p in range(2, int(float(most.upper())) + 2):
        if any(p % q == 0 for q in range(2, isqrt(p) + 1)):
            continue
        later = orbit.segments[m // p].at(arb(m) / p - m // p)
        if not any(a > b or a < b for a, b in zip(first, later, strict=True)):
            return False
    return True
