"""Self-replicators in rational numbers: no rounding, so that "copies itself" is an equation."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isfinite

from limitset._result import InputProblem
from limitset.replication._linear_theory import Numbers
from limitset.replication._particle_spec import QUESTION, ParticleSpec

Exact = tuple[Fraction, ...]


def project_exactly(spec: ParticleSpec, weights: Numbers | Sequence[Fraction | float]) -> Exact:
    """The self-replicator of `project_to_replicator`, in rational numbers, without rounding.

    Floats are taken as the rational numbers that they are. The result copies itself, and whatever
    else it is asked for, exactly; its answers to the task are those of the given weights, exactly.

    **Arguments:** `spec`, with linear particles; `weights`, those of one particle: floats of any
    precision or fractions.

    **Returns:** the weights, as fractions in lowest terms.

    **Raises:** `InputProblem` for particles that are not linear, weights that do not fit, and
    particles whose later matrices have the product 0.

    **Example:**

    >>> spec = ParticleSpec(widths=(1,))
    >>> found = project_exactly(spec, [0.9, 0.25, 0.0, -0.5, 1.0])
    >>> [str(weight) for weight in found]
    ['1', '0', '0', '0', '1']
    """
    given = _read_exactly(spec, weights)
    later, size = later_fractions(spec, given), spec.inputs
    squared = sum((entry * entry for entry in later), Fraction(0))
    if squared == 0:
        raise InputProblem(
            "the later matrices have the product 0; no first matrix makes a replicator of them"
        )
    moved = list(given)
    answers = exact_kappa(spec, given)
    for column in range(QUESTION):
        missing = (int(column == 0) - answers[column]) / squared
        for row, entry in enumerate(later):
            moved[row * size + column] += entry * missing
    return tuple(moved)


def exact_kappa(spec: ParticleSpec, weights: Numbers | Sequence[Fraction | float]) -> Exact:
    """`kappa = W_L ... W_1` of one linear particle, in rational numbers.

    **Raises:** `InputProblem` for particles that are not linear and weights that do not fit.

    >>> [str(entry) for entry in exact_kappa(ParticleSpec(widths=(1,)), [1, 0, 0.5, 0, 0.5])]
    ['1/2', '0', '1/4', '0']
    """
    given = _read_exactly(spec, weights)
    later, size = later_fractions(spec, given), spec.inputs
    return tuple(
        sum((entry * given[row * size + column] for row, entry in enumerate(later)), Fraction(0))
        for column in range(size)
    )


def is_exact_replicator(spec: ParticleSpec, weights: Numbers | Sequence[Fraction | float]) -> bool:
    """Whether `T(theta) = theta` holds in rational numbers, for weights that are not all 0.

    Coordinates of places count as the rational numbers that their floats are. Zero copies itself
    too, and is not called a replicator.

    **Raises:** `InputProblem` for particles that are not linear and weights that do not fit.

    >>> spec = ParticleSpec(widths=(1,))
    >>> [is_exact_replicator(spec, [w, 0.0, 0.0, 0.0, 1 / w]) for w in (2.0, 3.0)]
    [True, False]
    """
    given = _read_exactly(spec, weights)
    own, *others = exact_kappa(spec, given)[:QUESTION]
    return any(given) and all(
        (1 - own) * weight == sum(map(_product, others, map(Fraction, place)), Fraction(0))
        for weight, place in zip(given, spec.positions.tolist(), strict=True)
    )


def _product(first: Fraction, second: Fraction) -> Fraction:
    return first * second


def later_fractions(spec: ParticleSpec, weights: Exact) -> Exact:
    """`u = W_L ... W_2`."""
    remaining = iter(weights[spec.shapes[0][0] * spec.shapes[0][1] :])
    matrices = [_take(remaining, rows, columns) for rows, columns in spec.shapes[1:]]
    product = (Fraction(1),)
    for matrix in reversed(matrices):
        product = tuple(
            sum(map(_product, product, column), Fraction(0)) for column in zip(*matrix, strict=True)
        )
    return product


def _take(remaining: Iterator[Fraction], rows: int, columns: int) -> list[Exact]:
    return [tuple(next(remaining) for _ in range(columns)) for _ in range(rows)]


def _read_exactly(spec: ParticleSpec, weights: Numbers | Sequence[Fraction | float]) -> Exact:
    if not spec.is_linear:
        raise InputProblem(
            f"the activation is {spec.activation.name!r}; only linear particles have rational "
            "answers, with the activation 'identity'"
        )
    given = weights.tolist() if isinstance(weights, Numbers) else weights
    if not (isinstance(given, Sequence) and len(given) == spec.weight_count):
        raise InputProblem(f"weights do not fit; give a sequence of {spec.weight_count} numbers")
    if not all(isinstance(w, Fraction | int) or isfinite(w) for w in given):
        raise InputProblem("weights are not all finite; give a particle that has not diverged")
    return tuple(Fraction(weight) for weight in given)
