"""Phase portraits: simulated trajectories, with proved equilibria and cycles over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitset._result import InputProblem
from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg

# Word -> face of the marker: full where it attracts, empty where it does not, grey where unknown.
_FACES = {"stable": STABLE, "unstable": "white", "undecided": "#bbbbbb"}


@dataclass(frozen=True)
class Portrait:
    """What a phase portrait shows, in the same n states throughout.

    **Arguments:** `trajectories` (runs, steps, n), in floats; proved `equilibria` (k, n) with the
    word `stable`, `unstable` or `undecided` for each in `stabilities`; proved `cycles`, each
    (m, n), and their `radii`: the tube in which each orbit lies around the states shown.
    """

    trajectories: Float[np.ndarray, "runs steps n"]
    equilibria: Float[np.ndarray, "k n"]
    stabilities: tuple[str, ...] = ()
    cycles: Sequence[Float[np.ndarray, "_ n"]] = ()
    radii: Sequence[float] = ()


def draw_phase_portrait(portrait: Portrait) -> str:
    """Trajectories with proved equilibria and cycles, in the plane where they differ most.

    Two states are shown as they are. More are projected orthogonally onto the two directions of
    largest variance of all that is shown. The legend says which evidence stands behind what.

    **Returns:** SVG text.

    **Raises:** `InputProblem` for networks of one unit, which have no plane.

    >>> runs = np.linspace(1, 0, 12).reshape(1, 6, 2)
    >>> "stable equilibrium" in draw_phase_portrait(Portrait(runs, np.zeros((1, 2)), ("stable",)))
    True
    """
    n = portrait.trajectories.shape[2]
    if n < 2:
        raise InputProblem(f"the network has {n} unit; a phase portrait needs 2 or more")
    mean, plane = _plane(portrait)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        axes = figure.subplots()
        for k, run in enumerate(portrait.trajectories):
            label = "trajectories [float64]" if k == 0 else None
            axes.plot(*((run - mean) @ plane).T, color=FREE, lw=0.7, alpha=0.55, label=label)
        for k, cycle in enumerate(portrait.cycles):
            label = _cycle_words(portrait.radii) if k == 0 else None
            closed = np.concatenate([cycle, cycle[:1]])
            axes.plot(*((closed - mean) @ plane).T, color=CERTIFIED, lw=1.6, label=label)
        _draw_equilibria(axes, (portrait.equilibria - mean) @ plane, portrait.stabilities)
        for name, direction in zip(("x", "y"), plane.T, strict=True):
            axes.set(**{f"{name}label": _axis(direction)})
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2)
        return as_svg(figure)


def _cycle_words(radii: Sequence[float]) -> str:
    # Rounded up, as all that is claimed.
    radius = Context(prec=2, rounding=ROUND_CEILING).create_decimal_from_float(max(radii))
    return f"cycle [verified], radius of the tube {radius:.1e}"


def _draw_equilibria(
    axes: Axes, places: Float[np.ndarray, "k two"], stabilities: tuple[str, ...]
) -> None:
    for word, face in _FACES.items():
        chosen = places[[s == word for s in stabilities]]
        if len(chosen):
            axes.plot(
                *chosen.T,
                "o",
                ms=6,
                mfc=face,
                mec=STABLE,
                label=f"{word} equilibrium [verified]" if word != "undecided" else _UNDECIDED,
            )


_UNDECIDED = "equilibrium [verified], stability undecided"


def _plane(
    portrait: Portrait,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n two"]]:
    """A point and two orthonormal directions; the states themselves if there are two."""
    n = portrait.trajectories.shape[2]
    if n == 2:
        return np.zeros(2), np.eye(2)
    shown = [portrait.trajectories.reshape(-1, n), portrait.equilibria, *portrait.cycles]
    points = np.concatenate(shown)
    mean = points.mean(0)
    directions = np.linalg.svd(points - mean, full_matrices=False)[2]
    if len(directions) < 2:
        directions = np.eye(n)
    return mean, directions[:2].T


def _axis(direction: Float[np.ndarray, " n"]) -> str:
    """The state that a direction is, or the largest share of one."""
    k = int(np.abs(direction).argmax())
    if np.abs(direction[k]) == 1:
        return f"state {k + 1}"
    return f"projection, {direction[k] ** 2:.0%} of it state {k + 1}"
