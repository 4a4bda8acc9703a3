"""On which side of the imaginary axis, or of the unit circle, the eigenvalues of a matrix lie.

With any regular `R`, the eigenvalues of `J` are those of `R^-1 J R`, and in its Gershgorin discs:
each group of discs apart from all others holds as many as it has discs, with multiplicity.
Approximate eigenvectors as columns of `R` make the discs small.
"""

from collections.abc import Callable

from flint import acb, acb_mat, arb, arb_mat, ctx

from limitset.checker._document import NotProved

_LOW = 64
Disc = tuple[acb, arb]


def sides(J: arb_mat, excess: Callable[[acb], arb], critical: int = 0) -> tuple[int, int]:
    """How many eigenvalues certainly have a positive excess, and how many a negative one.

    `excess` must not change faster than its argument. All eigenvalues but `critical` many are
    counted, or `NotProved` is raised; those may have any excess, and each is alone in its disc, so
    as many distinct ones that a caller knows to be 0 in excess are these, and simple.
    """
    for precision in (min(_LOW, ctx.prec), ctx.prec):
        with ctx.workprec(precision):
            rows = _nearly_diagonal(J)
            discs = _discs(rows)
            beyond, within, other = 0, 0, []
            for k, (center, radius) in enumerate(discs):
                height = excess(center)
                if not abs(height) > radius:
                    radius = _shrunk(k, rows, discs)
                beyond += int(height > radius)
                within += int(-height > radius)
                if not abs(height) > radius:
                    other.append(discs[k])
            if len(other) == critical and all(_is_alone(disc, discs) for disc in other):
                return beyond, within
    raise NotProved("on which side of the critical line the eigenvalues lie is not established")


def real_part(value: acb) -> arb:
    """Positive right of the imaginary axis."""
    return value.real


def outside_circle(value: acb) -> arb:
    """Positive outside of the unit circle."""
    return abs(value) - 1


def _nearly_diagonal(J: arb_mat) -> list[list[acb]]:
    matrix = acb_mat(J)
    _, R = matrix.eig(right=True, algorithm="approx")
    try:
        return R.solve(matrix * R).tolist()
    except ZeroDivisionError:
        raise NotProved("the eigenvectors are not certainly independent") from None


def _discs(rows: list[list[acb]]) -> list[Disc]:
    return [
        (row[i], sum((abs(entry) for j, entry in enumerate(row) if j != i), arb(0)))
        for i, row in enumerate(rows)
    ]


def _shrunk(k: int, rows: list[list[acb]], discs: list[Disc]) -> arb:
    """The radius of a disc that is alone, or a smaller one that its eigenvalue keeps.

    With the k-th unknown scaled by `0 < t <= 1` this radius is `t r_k`, and that of disc j grows by
    at most `|e_jk| / t`. The disc stays alone while that is at most half of the gap between both.
    """
    center, radius = discs[k]
    least = arb(0)
    for j, (other, reach) in enumerate(discs):
        gap = abs(center - other) - radius - reach
        if j != k and not gap > 0:
            return radius
        if j != k:
            least = least.max(2 * abs(rows[j][k]) / gap)
    return radius * least if least <= 1 else radius


def _is_alone(disc: Disc, discs: list[Disc]) -> bool:
    center, radius = disc
    return all(other is disc or abs(center - other[0]) > radius + other[1] for other in discs)
