"""Figures of proved dynamics: branches with what was proved on them, spectra with their discs."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Bool, Complex, Float
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure

from limitset._result import Evidence
from limitset.report._figures import CERTIFIED, FREE, STABLE, STYLE, as_svg


def draw_branch(
    parameters: Float[np.ndarray, " k"],
    states: Float[np.ndarray, "k n"],
    stable: Bool[np.ndarray, " k"],
    points: Mapping[str, Float[np.ndarray, "_ two"]],
    name: str,
    evidence: Evidence = Evidence.FLOAT64,
) -> str:
    """The size of the equilibrium along a branch, with proved points on it.

    **Arguments:** parameter, state and stability of each point of the branch; `points`, for each
    kind its name and parameter and `|x|` of the proved ones; the `name` of the parameter; the
    `evidence` for the branch itself.

    **Returns:** SVG text.
    """
    size = np.linalg.norm(states, axis=1)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for mask, colour, style, label in (
            (stable, STABLE, "-", "stable"),
            (~stable, FREE, "--", "unstable"),
        ):
            if mask.any():
                shown = np.where(mask, size, np.nan)
                label = f"{label} [{evidence.label}]"
                axes.plot(parameters, shown, color=colour, ls=style, label=label)
        for marker, (kind, places) in zip(_MARKERS, points.items(), strict=False):
            if len(places):
                label = f"{kind} [verified]"
                axes.plot(*places.T, marker, color=CERTIFIED, ms=6, label=label)
        axes.set_xlabel(name, parse_math=False)
        axes.set_ylabel("|x| at the equilibrium")
        axes.legend(fontsize=8)
        return as_svg(figure)


_MARKERS = ("o", "s", "^")


def draw_spectrum(
    centres: Complex[np.ndarray, " n"], radii: Float[np.ndarray, " n"], title: str
) -> str:
    """Eigenvalues with the discs that hold them; discs too small to be seen are dots.

    **Returns:** SVG text.
    """
    x, y = np.real(centres), np.imag(centres)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=CERTIFIED, lw=0.8)
        axes.plot(x, y, ".", color=STABLE, ms=4)
        discs = EllipseCollection(
            2 * radii,
            2 * radii,
            np.zeros(len(radii)),
            units="xy",
            offsets=np.column_stack([x, y]),
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=STABLE,
        )
        axes.add_collection(discs)
        axes.set_xlabel("real part")
        axes.set_ylabel("imaginary part")
        claim = f"{title}: all lie in the discs [verified]"
        axes.set_title(claim, loc="left", fontsize=10, parse_math=False)
        return as_svg(figure)
