"""A soup as a moving picture: one SVG that moves by itself, without scripts."""

from html import escape

import numpy as np
import xarray
from jaxtyping import Bool, Float, Int

from limitset.report._figures import FREE
from limitset.report._replicate_figure import KIND_COLOURS

_WIDTH, _HEIGHT, _TOP = 640.0, 460.0, 46.0
_SECONDS_AN_EPOCH = 0.4
_LESSON = "#7a5ea8"


def draw_moving_soup(soup: xarray.Dataset) -> str:
    """The first seed's soup, epoch by epoch: places in the plane, kinds, attacks and lessons.

    Attacks and lessons are lines from the one that acts or teaches to the one that changes; a
    network that is replaced jumps. It runs for ever.

    **Arguments:** `soup`, as `limitset.experiments` computes it.

    **Returns:** SVG text.
    """
    one = soup.isel(seed=0)
    spots, seen = _spots(one["places"].values)
    kinds = one["kinds"].values.astype(int)
    length = _SECONDS_AN_EPOCH * (len(kinds) - 1)
    body = [
        *_events(one["attacked_by"].values, spots, seen, FREE, length),
        *_events(one["taught_by"].values, spots, seen, _LESSON, length),
        *(_network(k, spots, seen, kinds, length) for k in range(kinds.shape[1])),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
            'font-family="sans-serif" font-size="11">',
            f"<title>A soup of {kinds.shape[1]} networks, {len(kinds) - 1} epochs</title>",
            f'<rect width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="#ffffff"/>',
            *_legend(soup.attrs["kinds"]),
            *body,
            f'<rect y="{_HEIGHT - 3:g}" height="3" fill="#999999">'
            f'<animate attributeName="width" from="0" to="{_WIDTH:g}" dur="{length:g}s" '
            'repeatCount="indefinite"/></rect>',
            "</svg>",
        ]
    )


def view_of(
    places: Float[np.ndarray, "times count 2"],
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """Corners of a window that holds most finite places of the later half and of the start."""
    shown = np.concatenate([places[len(places) // 2 :].reshape(-1, 2), places[0]])
    shown = shown[np.isfinite(shown).all(axis=1)]
    low, high = np.quantile(shown, (0.02, 0.98), axis=0)
    return low, np.maximum(high, low + 1e-6)


def _spots(
    places: Float[np.ndarray, "times count 2"],
) -> tuple[Float[np.ndarray, "times count 2"], Bool[np.ndarray, "times count"]]:
    """Places on the picture, those outside at its edge, and which are finite."""
    finite = np.asarray(np.isfinite(places).all(axis=2))
    low, high = view_of(places)
    unit = (np.where(finite[..., None], places, 0.0) - low) / (high - low)
    unit = np.clip(0.08 + 0.84 * unit, 0.01, 0.99)
    across = unit[..., 0] * _WIDTH
    down = _TOP + (1 - unit[..., 1]) * (_HEIGHT - _TOP - 8)
    return np.stack([across, down], axis=2), finite


def _legend(kinds: list[str]) -> list[str]:
    found, x = [], 14.0
    for kind, colour in zip(kinds, KIND_COLOURS, strict=True):
        found.append(f'<circle cx="{x:g}" cy="14" r="5" fill="{colour}"/>')
        found.append(f'<text x="{x + 9:g}" y="18">{escape(kind)}</text>')
        x += 26 + 6.2 * len(kind)
    for words, colour in (("attack", FREE), ("lesson", _LESSON)):
        found.append(
            f'<line x1="{x:g}" x2="{x + 16:g}" y1="14" y2="14" stroke="{colour}" stroke-width="2"/>'
        )
        found.append(f'<text x="{x + 21:g}" y="18">{words}</text>')
        x += 70
    found.append(
        '<text x="9" y="36" fill="#666666">weights in the plane of their principal components, '
        "epoch by epoch [sampled]</text>"
    )
    return found


def _network(
    k: int,
    spots: Float[np.ndarray, "times count 2"],
    seen: Bool[np.ndarray, "times count"],
    kinds: Int[np.ndarray, "times count"],
    length: float,
) -> str:
    moves = [
        _animate(name, [f"{value:.1f}" for value in spots[:, k, j]], length, "linear")
        for j, name in enumerate(("cx", "cy"))
    ]
    colours = [KIND_COLOURS[kind] for kind in kinds[:, k]]
    shown = ["0.9" if there else "0" for there in seen[:, k]]
    return "".join(
        [
            f'<circle r="6" cx="{spots[0, k, 0]:.1f}" cy="{spots[0, k, 1]:.1f}" '
            f'fill="{colours[0]}" fill-opacity="0.9" stroke="#ffffff" stroke-width="0.8">',
            *moves,
            _animate("fill", colours, length, "discrete"),
            _animate("fill-opacity", shown, length, "discrete"),
            "</circle>",
        ]
    )


def _animate(name: str, values: list[str], length: float, mode: str) -> str:
    if mode == "discrete":
        # Discrete values last from their own time to the next: the last one has no time of its own.
        values = values[:-1]
    return (
        f'<animate attributeName="{name}" values="{";".join(values)}" dur="{length:g}s" '
        f'calcMode="{mode}" repeatCount="indefinite"/>'
    )


def _events(
    by: Float[np.ndarray, "epochs count"],
    spots: Float[np.ndarray, "times count 2"],
    seen: Bool[np.ndarray, "times count"],
    colour: str,
    length: float,
) -> list[str]:
    """A line for each event, shown during the epoch at whose end it is seen."""
    found, epochs = [], len(by)
    for epoch, target in zip(*np.nonzero(by >= 0), strict=True):
        source = int(by[epoch, target])
        if source == target or not (seen[epoch, source] and seen[epoch, target]):
            continue
        (x1, y1), (x2, y2) = spots[epoch, source], spots[epoch, target]
        begin, end = epoch / epochs, (epoch + 1) / epochs
        times = f"0;{begin:.4f};{end:.4f}" if epoch else f"0;{end:.4f}"
        values = "0;0.8;0" if epoch else "0.8;0"
        found.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="1.6" opacity="0"><animate attributeName="opacity" values="{values}" '
            f'keyTimes="{times}" dur="{length:g}s" calcMode="discrete" '
            'repeatCount="indefinite"/></line>'
        )
    return found
