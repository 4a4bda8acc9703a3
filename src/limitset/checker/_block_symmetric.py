"""The theorems `symmetric`, in the metric of the state matrix, and `gradient`, in the 2-norm.

`symmetric`: `A = -Lambda P` with P positive definite. `P^(1/2) (I + h D A) P^(-1/2)` is symmetric,
with eigenvalues from `1 - h high fastest` to `1 - h low slowest`, where those of
`Lambda^(1/2) P Lambda^(1/2)` lie in `[slowest, fastest]`. Of an input w, with
`ebar = P^-1 Lambda^-1 B w`, each step moves `e - ebar` by J, so `|e|_P <= 2 |ebar|_P`. Where K
depths have each their own `ebar`, `|e|_P` grows by at most `2 |ebar_k|_P` at depth k, and once at
the last, which repeats: K times the largest bounds their sum.

`gradient`: `J = (1 - h leak) I - h R^T D R`. With `a = 1 - h leak`, `kappa = 2 a - h high |R|^2`:
`|e+|^2 <= a^2 |e|^2 + h high a^2 |B w|^2 / kappa`, and `|e+| <= factor |e| + push |w|`.
"""

from fractions import Fraction
from functools import reduce

from flint import arb, arb_mat, fmpq

from limitset.checker._arithmetic import is_positive_definite, measure_at_most
from limitset.checker._block_claim import BlockClaim, prove_push
from limitset.checker._blocks import Block, Layer
from limitset.checker._document import require
from limitset.checker._operator_norms import gram_matrix, matrix_of, norm_at_most
from limitset.checker._operators import Convolution, Dense, Gram, Operator, Vector

_SMALL = 1024
Spectrum = tuple[arb, arb]


def prove_symmetric(block: Block, claim: BlockClaim, spectra: list[Spectrum]) -> None:
    """Prove the claim, or raise `NotProved`; `spectra` bounds the eigenvalues of P."""
    require(len(spectra) == 1, "symmetric needs bounds of the eigenvalues of one P")
    (lowest, highest), first = spectra[0], block.layers[0].operator
    require(bool(lowest > 0), "P is not positive definite")
    shared = all(_share(first, layer.operator) for layer in block.layers)
    require(shared, "the weights differ from depth to depth, and the metric with them")
    P, rates = _metric(first)
    require(_has_spectrum(first, P, lowest, highest), "the eigenvalues of P are not established")
    require(claim.root_push is None, "this theorem bounds no push by roots of the depth")
    for layer in block.layers:
        own = _rates_of(layer, rates)
        _prove_spectral(block, layer, claim, P, own, (lowest, highest))
        _prove_push(block, layer, claim)
    _prove_gain(block, claim, P, rates, lowest)
    _prove_transient(block, claim, (highest / lowest).sqrt())


def _share(first: Operator, other: Operator) -> bool:
    """Whether two operators have one P."""
    if isinstance(first, Gram) and isinstance(other, Gram):
        same = (first.scale, first.shift) == (other.scale, other.shift)
        return same and first.inner == other.inner
    return isinstance(first, Dense) and first == other


def _metric(operator: Operator) -> tuple[arb_mat | None, Vector | None]:
    """P, where it is small enough, and the rates, `None` where all are 1."""
    if isinstance(operator, Gram):
        return (gram_matrix(operator) if operator.inputs <= _SMALL else None), operator.rates
    require(isinstance(operator, Dense), "this state operator is not known to be symmetric")
    A = operator.matrix  # pyright: ignore[reportAttributeAccessIssue]
    if A == A.transpose():
        return -A, None
    rates = _recovered_rates(A.tolist())
    # Exact quotients are enclosed; their mirror images are the same numbers.
    rows = [[-x / r for x in row] for row, r in zip(A.tolist(), rates, strict=True)]
    for i, row in enumerate(rows):
        for j in range(i):
            row[j] = rows[j][i]
    return arb_mat(rows), rates


def _recovered_rates(A: list[list[arb]]) -> Vector:
    """Positive rates with `A_ij rates_j = A_ji rates_i`, exactly, the first of each group 1."""
    exact = [[_fraction(x) for x in row] for row in A]
    n = len(exact)
    rates = [Fraction(0)] * n
    for root in range(n):
        if rates[root] == 0:
            rates[root], reached = Fraction(1), [root]
            while reached:
                i = reached.pop()
                for j in range(n):
                    if exact[i][j] != 0 and rates[j] == 0:
                        rates[j] = rates[i] * exact[j][i] / exact[i][j]
                        require(rates[j] > 0, "A is not -Lambda P with Lambda positive")
                        reached.append(j)
    symmetric = all(
        exact[i][j] * rates[j] == exact[j][i] * rates[i] for i in range(n) for j in range(i)
    )
    require(symmetric, "A is not -Lambda P with P symmetric")
    return [arb(fmpq(rate.numerator, rate.denominator)) for rate in rates]


def _fraction(x: arb) -> Fraction:
    mantissa, exponent = x.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _has_spectrum(operator: Operator, P: arb_mat | None, lowest: arb, highest: arb) -> bool:
    """Whether all eigenvalues of P certainly lie in `[lowest, highest]`."""
    shifted = isinstance(operator, Gram) and operator.shift >= lowest
    if P is not None:
        return measure_at_most(P, highest) and (shifted or measure_at_most(-P, -lowest))
    if not isinstance(operator, Gram) or not shifted or not operator.shift <= highest:
        return False
    if operator.scale == 0:
        return True
    return norm_at_most(operator.inner, ((highest - operator.shift) / operator.scale).sqrt())


def _prove_spectral(
    block: Block,
    layer: Layer,
    claim: BlockClaim,
    P: arb_mat | None,
    rates: Vector | None,
    spectrum: Spectrum,
) -> None:
    """Factor and step limit, from the eigenvalues of `Lambda^(1/2) P Lambda^(1/2)`."""
    fast = (1 + claim.factor) / (layer.step * block.high)
    if claim.step_limit is not None and claim.step_limit > 0:
        fast = fast.min(2 / (claim.step_limit * block.high))
    proved = _is_below(layer.operator, P, rates, fast, spectrum[1])
    require(proved, "the step is not certainly within the limit and the factor")
    if claim.factor < 1:
        slow = (1 - claim.factor) / (layer.step * block.low) if block.low > 0 else arb("nan")
        proved = _is_above(P, rates, slow, spectrum[0])
        require(proved, "the factor is not established")


def _is_below(
    operator: Operator, P: arb_mat | None, rates: Vector | None, bound: arb, highest: arb
) -> bool:
    """Whether `Lambda^(1/2) P Lambda^(1/2) <= bound`, that is `P <= bound Lambda^-1`."""
    fastest = arb(1) if rates is None else reduce(arb.max, rates)
    if highest * fastest <= bound:
        return True
    if P is not None and rates is None:
        return measure_at_most(P, bound)
    if P is not None:
        return is_positive_definite(_inverse(rates, bound) - P)
    if not isinstance(operator, Gram) or not isinstance(operator.inner, Convolution):
        return False
    inner = _rated(operator.inner, rates or [])
    room = (bound - operator.shift * fastest) / operator.scale
    return inner is not None and bool(room >= 0) and norm_at_most(inner, room.sqrt())


def _is_above(P: arb_mat | None, rates: Vector | None, bound: arb, lowest: arb) -> bool:
    """Whether `P >= bound Lambda^-1`."""
    slowest = arb(1) if rates is None else reduce(arb.min, rates)
    if lowest * slowest >= bound:
        return True
    if P is None:
        return False
    if rates is None:
        return measure_at_most(-P, -bound)
    return is_positive_definite(P - _inverse(rates, bound))


def _inverse(rates: Vector | None, bound: arb) -> arb_mat:
    """`bound Lambda^-1`."""
    given = rates or []
    matrix = arb_mat(len(given), len(given))
    for i, rate in enumerate(given):
        matrix[i, i] = bound / rate
    return matrix


def _rated(operator: Convolution, rates: Vector) -> Convolution | None:
    """`K Lambda^(1/2)` as a convolution, where each channel has one rate."""
    _, inputs, k, m = operator.shape
    pixels = operator.height * operator.width
    if any(rates[i] != rates[i - i % pixels] for i in range(len(rates))):
        return None
    roots = [rates[i * pixels].sqrt() for i in range(inputs) for _ in range(k * m)]
    rows = [[x * r for x, r in zip(row, roots, strict=True)] for row in operator.taps.tolist()]
    return operator._replace(taps=arb_mat(rows))


def _prove_gain(
    block: Block, claim: BlockClaim, P: arb_mat | None, rates: Vector | None, lowest: arb
) -> None:
    """`2 |P^(-1/2) Lambda^-1 B| / sqrt(lowest)`, times K where the K depths differ."""
    gain, largest = (claim.norms[name][0] for name in ("euclidean", "maximum"))
    first = block.layers[0]
    if gain is not None:
        held = all(
            (layer.entering, layer.operator) == (first.entering, first.operator)
            for layer in block.layers
        )
        layers = block.layers[:1] if held else block.layers
        room = gain * lowest.sqrt() / (2 * len(layers))
        proved = all(
            _moves_within(layer.entering, _rates_of(layer, rates), P, room, lowest)
            for layer in layers
        )
        require(proved, "the euclidean gain is not established")
    if largest is not None:
        width = arb(block.inputs).sqrt()
        proved = gain is not None and largest >= gain * width
        require(bool(proved), "the maximum gain is not established")


def _rates_of(layer: Layer, shared: Vector | None) -> Vector | None:
    """The rates of one depth; those of a dense operator are the same at all depths."""
    return layer.operator.rates if isinstance(layer.operator, Gram) else shared


def _moves_within(
    entering: Operator | None, rates: Vector | None, P: arb_mat | None, room: arb, lowest: arb
) -> bool:
    """Whether `|P^(-1/2) Lambda^-1 B| <= room`, certainly."""
    if entering is None:
        return bool(room >= 0)
    slowest = arb(1) if rates is None else reduce(arb.min, rates)
    if norm_at_most(entering, room * lowest.sqrt() * slowest):
        return True
    if P is None:
        return False
    B = matrix_of(entering)
    if rates is not None:
        rows = zip(B.tolist(), rates, strict=True)
        B = arb_mat([[x / rate for x in row] for row, rate in rows])
    return is_positive_definite(P * room**2 - B * B.transpose())


def _prove_push(block: Block, layer: Layer, claim: BlockClaim) -> None:
    """The maximum push by the rows, or by the euclidean one."""
    push, largest = (claim.norms[name][1] for name in ("euclidean", "maximum"))
    if push is not None and largest is not None and largest >= push * arb(block.inputs).sqrt():
        maximum = claim.norms["maximum"][0], None, claim.norms["maximum"][2]
        claim = claim._replace(norms={**claim.norms, "maximum": maximum})
    prove_push(block, layer, claim)


def _prove_transient(block: Block, claim: BlockClaim, euclidean: arb) -> None:
    bounds = {"euclidean": euclidean, "maximum": euclidean * arb(block.states).sqrt()}
    for name, bound in bounds.items():
        transient = claim.norms[name][2]
        fits = transient is None or transient >= bound
        require(bool(fits), f"the {name} transient is not established")


def prove_gradient(block: Block, claim: BlockClaim, spectra: list[Spectrum]) -> None:
    """Prove the claim, or raise `NotProved`; `spectra` bounds the singular values of each R."""
    require(len(spectra) == len(block.layers), "a bound of |R| is missing")
    for layer, (_, norm) in zip(block.layers, spectra, strict=True):
        require(norm_at_most(layer.operator, norm), "a bound of |R| is not established")
        pulled = block.high * norm**2
        kept, whole = 1 - layer.step * layer.leak, layer.leak + pulled
        fits = kept <= claim.factor and layer.step * whole - 1 <= claim.factor
        require(bool(fits), "the factor is not established")
        if claim.step_limit is not None:
            require(bool(claim.step_limit * whole <= 2), "the step limit is not established")
        if layer.entering is not None:
            kappa = 2 * kept - layer.step * pulled
            _prove_entering(block, layer, claim, layer.entering, (norm, kappa))
    for way in range(2):
        euclidean, maximum = (claim.norms[name][way] for name in ("euclidean", "maximum"))
        if maximum is not None and block.inputs > 0:
            known = euclidean is not None and maximum >= euclidean * arb(block.inputs).sqrt()
            require(bool(known), "a bound in the maximum norm does not follow")
    _prove_transient(block, claim, arb(1))


def _prove_entering(
    block: Block, layer: Layer, claim: BlockClaim, entering: Operator, sizes: Spectrum
) -> None:
    """Push, gain and root push, by the norms of R and B; `sizes` are `|R|` and kappa."""
    (norm, kappa), kept = sizes, 1 - layer.step * layer.leak
    gain, push, _ = claim.norms["euclidean"]
    faster, moved = layer.step * block.high, kappa / (layer.step * block.high * kept**2)
    if push is not None:
        free = norm == 0
        proved = free or norm_at_most(entering, push / (faster * norm))
        require(bool(proved), "the euclidean push is not established")
    if claim.root_push is not None:
        proved = kappa > 0 and norm_at_most(entering, claim.root_push * moved.sqrt())
        require(bool(proved), "the root push is not established")
    if gain is not None:
        factor = kept.max(layer.step * (layer.leak + block.high * norm**2) - 1)
        rest, lost = moved * (1 - kept**2), gain * (1 - factor)
        proved = rest > 0 and norm_at_most(entering, gain * rest.sqrt())
        if not proved and lost > 0 and norm > 0:
            proved = norm_at_most(entering, lost / (faster * norm))
        require(bool(proved), "the euclidean gain is not established")
