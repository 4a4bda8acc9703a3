"""What the figures of the panels share."""

from matplotlib.axes import Axes


def make_room(axes: Axes, share: float) -> None:
    """Room for a legend above what is drawn: this share of the height that there is."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** share)
    else:
        axes.set_ylim(low, high + share * (high - low))
