"""The statements `replicator`, `collapse` and `fixed_point`, about particles."""

from typing import Any

from flint import arb, arb_mat

from limitset.checker._arithmetic import is_positive_definite
from limitset.checker._document import require, take, take_real, take_tensor
from limitset.checker._eigenvalues import outside_circle, sides
from limitset.checker._equilibrium import read_vector
from limitset.checker._krawczyk import (
    around,
    column,
    contraction,
    has_one_zero,
    invert,
    refine,
)
from limitset.checker._network import Network
from limitset.checker._particle import (
    QUESTION,
    Particle,
    Vector,
    apply_itself,
    kappa,
    kappa_gradient,
    particle_of,
)

REPLICATOR = (
    "frame center radius uniqueness_radius distance eigenvalue unit_eigenvalues unstable training"
)
COLLAPSE = "radius factor"
FIXED_POINT = "center radius uniqueness_radius stability cube basin_radius"
_MOST_FIXED = 256


def prove_replicator(document: dict[str, Any], network: Network) -> None:
    """Prove the claim, or raise `NotProved`; in the precision of the context."""
    require(document["theorem"] == "constraint", "the theorem is unknown")
    particle = _linear(document, network)
    frame, *vectors, widest, distance, eigenvalue, units, unstable, training = take(
        document["claim"], REPLICATOR
    )
    Q = _matrix(frame, particle.size, QUESTION)
    center, radius = (read_vector(vector, QUESTION) for vector in vectors)

    def along(y: Vector) -> Vector:
        moved = (Q * column(y)).entries()
        return [w + m for w, m in zip(particle.weights, moved, strict=True)]

    def value(y: Vector) -> Vector:
        first, *others = kappa(particle, along(y))
        return [first - 1, *others]

    def jacobian(y: Vector) -> arb_mat:
        return kappa_gradient(particle, along(y)) * Q

    box = _one_zero(value, jacobian, center, radius, take_real(widest))
    moved, bound = (Q * column(box)).entries(), take_real(distance)
    near = bound >= 0 and sum((m * m for m in moved), arb(0)) <= arb(bound) ** 2
    require(near, "the distance from the weights is not established")
    # kappa is homogeneous: at a replicator, which is not 0, DT theta = (1 + L) theta.
    require(eigenvalue == 1 + particle.depth, "the eigenvalue of the weights is another one")
    theta = along(refine(value, jacobian, box))
    _check_spectrum(particle, theta, units, unstable)
    _check_training(particle, theta, training)


def _linear(document: dict[str, Any], network: Network) -> Particle:
    particle = particle_of(document, network)
    require(particle.activation == "identity", "this statement is about linear particles")
    return particle


def _matrix(value: Any, rows: int, columns: int) -> arb_mat:
    dtype, shape, _, values = take_tensor(value)
    require((dtype, shape) == ("float64", (rows, columns)), "a matrix does not fit the particle")
    return arb_mat(rows, columns, values)


def _one_zero(value: Any, jacobian: Any, center: Vector, radius: Vector, widest: float) -> Vector:
    """The box, if it holds exactly one zero and the larger one no other."""
    require(min(radius) > 0 and widest >= 0, "a radius is not positive, or negative")
    A, box = invert(jacobian(center)), around(center, radius)
    shift = (A * column(value(center))).entries()
    proved = has_one_zero(contraction(A, jacobian(box)), shift, radius)
    require(proved, "exactly one zero within the radius is not established")
    if widest > 0:
        reach = [arb(widest)] * len(center)
        Z = contraction(A, jacobian(around(center, reach)))
        alone = all(r <= widest for r in radius)
        alone = alone and has_one_zero(Z, [arb(0)] * len(center), reach)
        require(alone, "no other zero within the uniqueness radius is not established")
    return box


def _places(particle: Particle) -> arb_mat:
    return arb_mat([[arb(x) for x in place] for place in particle.places])


def _check_spectrum(particle: Particle, theta: Vector, units: Any, unstable: Any) -> None:
    """Beside `1 + L`: `n - 4` times 1, and the three of `I + G_{1:3} Pi`."""
    rows = kappa_gradient(particle, theta).tolist()[1:]
    across = arb_mat(rows) * _places(particle)
    if units is not None:
        determinant = across.det()
        known = type(units) is int and units == particle.size - QUESTION
        regular = determinant > 0 or determinant < 0
        require(known and regular, "the number of eigenvalues 1 is not established")
    if unstable is not None:
        for i in range(3):
            across[i, i] += 1
        outside, _ = sides(across, outside_circle)
        known = type(unstable) is int and unstable == outside + 1
        require(known, "the number of unstable eigenvalues is not established")


def _check_training(particle: Particle, theta: Vector, training: Any) -> None:
    """`A - s B^-1 > 0` and `t B^-1 - A > 0` for `A = (2/n) G G^T`, `B = X^T X`."""
    if training is None:
        return
    slowest, fastest = (arb(take_real(end)) for end in take(training, "slowest fastest"))
    G = kappa_gradient(particle, theta)
    X = arb_mat([[t, *map(arb, p)] for t, p in zip(theta, particle.places, strict=True)])
    A, B = G * G.transpose() * (arb(2) / particle.size), X.transpose() * X
    proved = is_positive_definite(A) and is_positive_definite(B) and slowest > 0
    try:
        inverse = B.inv()
    except ZeroDivisionError:
        proved, inverse = False, B
    proved = proved and is_positive_definite(A - inverse * slowest)
    proved = proved and is_positive_definite(inverse * fastest - A)
    require(proved, "the bounds of the training modes are not established")


def prove_collapse(document: dict[str, Any], network: Network) -> None:
    """`(r^2 + |Pi|^2) r^{2 (L - 1)} <= factor^2 L^L`, factor < 1, in the norm of the activation."""
    require(document["theorem"] == "norm", "the theorem is unknown")
    particle = particle_of(document, network)
    radius, factor = (arb(take_real(value)) for value in take(document["claim"], COLLAPSE))
    known = particle.activation in ("identity", "tanh")
    require(known, "this statement is about activations with |a(x)| <= |x|")
    require(radius > 0 and factor > 0 and factor < 1, "a number is out of range")
    L, Pi = particle.depth, _places(particle)
    room = factor**2 * arb(L) ** L / radius ** (2 * (L - 1)) - radius**2
    gram = Pi.transpose() * Pi
    if particle.activation == "identity":
        proved = is_positive_definite(room - gram)
    else:
        proved = gram[0, 0] + gram[1, 1] + gram[2, 2] < room
    require(bool(proved), "that the ball collapses is not established")


def prove_fixed_point(document: dict[str, Any], network: Network) -> None:
    """One fixed point of self-application in a box, its stability, and what it attracts."""
    require(document["theorem"] == "krawczyk", "the theorem is unknown")
    particle = particle_of(document, network, _MOST_FIXED)
    n = particle.size
    *vectors, widest, stability, cube, basin = take(document["claim"], FIXED_POINT)
    center, radius = (read_vector(vector, n) for vector in vectors)

    def value(x: Vector) -> Vector:
        return [t - w for t, w in zip(apply_itself(particle, x)[0], x, strict=True)]

    def jacobian(x: Vector) -> arb_mat:
        return apply_itself(particle, x)[1] - _identity(n)

    box = _one_zero(value, jacobian, center, radius, take_real(widest))
    excluded = any(x > 0 or x < 0 for x in box)
    require(excluded, "that the fixed point is not 0 is not established")
    J = jacobian(refine(value, jacobian, box)) + _identity(n)
    _check_stability(stability, document["witness"], J, n)
    size, reach = take_real(cube), take_real(basin)
    require(size >= 0 and reach >= 0, "a radius is negative")
    if reach > 0:
        require(stability == "stable", "only stable fixed points attract")
        P = _matrix(take(document["witness"], "form")[0], n, n)
        wide = apply_itself(particle, around(center, [arb(size)] * n))[1]
        attracts = _decreases(P, wide) and _fits(P, arb(size), arb(reach), radius)
        require(attracts, "what the fixed point attracts is not established")
    else:
        require(size == 0, "a cube without a basin")


def _identity(n: int) -> arb_mat:
    return arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])


def _check_stability(stability: Any, witness: Any, J: arb_mat, n: int) -> None:
    """`P > 0` and `P - J^T P J > 0`: stable. `v^T P v < 0` and `P - K^T P K > 0`, `K = J / s`,
    `s >= 1`: not.
    """
    if stability == "undecided":
        require(witness is None, "a witness without a claim")
        return
    if stability == "stable":
        P = _symmetric(take(witness, "form")[0], n)
        require(is_positive_definite(P) and _decreases(P, J), "the stability is not established")
        return
    require(stability == "unstable", "the stability is not a known word")
    form, direction, bound = take(witness, "form direction bound")
    P, v, scale = _symmetric(form, n), column(read_vector(direction, n)), arb(take_real(bound))
    proved = scale >= 1 and (v.transpose() * P * v)[0, 0] < 0 and _decreases(P, J / scale)
    require(proved, "the stability is not established")


def _symmetric(value: Any, n: int) -> arb_mat:
    P = _matrix(value, n, n)
    require(P == P.transpose(), "the form is not symmetric")
    return P


def _decreases(P: arb_mat, J: arb_mat) -> bool:
    return is_positive_definite(P - J.transpose() * P * J)


def _fits(P: arb_mat, cube: arb, reach: arb, radius: Vector) -> bool:
    """Whether a ball around the center lies in a sublevel of P around the zero, that in the cube.

    With `m I < P < M I`, `M d^2 <= m c^2` does, where `c` is what the cube leaves on all sides of
    the zero and `d` what the ball needs around it.
    """
    n, off = len(radius), max(radius)
    c, d = cube - off, reach + off * arb(n).sqrt()
    if not (c > 0 and d > 0):
        return False
    smallest = min(float(value.real.mid()) for value in P.eig(algorithm="approx"))
    m = arb(smallest) * (1 - arb(1e-6))
    bounded = m > 0 and is_positive_definite(P - m * _identity(n))
    return bool(bounded and is_positive_definite(m * (c / d) ** 2 * _identity(n) - P))
