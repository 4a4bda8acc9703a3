"""How many test images keep their class under every perturbation, and how many under an attack's?

Fully connected networks of gradient blocks (2-norm) and of maxima (maximum norm), of gain 1 in
their norm, trained on certified radii, with more than one offset. Certificates are verified on all
test images, scores enclosed. The attack is a projected gradient of 100 steps from 3 starts on the
first 1,000 of them: the share that withstands it bounds the accuracy under every perturbation from
above, the certified share from below. Accuracy of the final epoch; every radius, not one.

Finished runs are kept in a folder (`--runs`), so that the benchmark can be interrupted.
"""

import _measure  # noqa: I001  (sets BLAS threads before NumPy loads)

import argparse
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import _certified_runs
import numpy as np
import xarray
from _certified_runs import Plan, Run
from limitset.cli._devices import set_up_processor
from limitset.report import draw_certified
from limitset.training import as_images, load_digits_sequences, load_fashion_mnist, load_mnist

SEEDS = (0, 1, 2)
SETS = {"mnist": load_mnist, "fashion": load_fashion_mnist}
PLANS = {
    "euclidean": Plan(),
    "euclidean_small": Plan(offset=0.5),
    "maximum": Plan(
        norm="maximum", offset=0.1, temperature=0.03, layers=3, optimiser="adam", learning_rate=3e-3
    ),
}
TINY = {"units": 16, "layers": 2, "epochs": 2, "batch_size": 64, "attacked": 20, "steps": 5}
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "certified-accuracy.svg"


def main() -> None:
    """Train what is missing, then certify, attack and print all."""
    given = _arguments()
    set_up_processor()
    sets = {"digits": load_digits_sequences} if given.quick else SETS
    seeds = SEEDS[:1] if given.quick else SEEDS[: given.seeds]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.runs or Path(scratch)
        for data in given.data or sets:
            split = as_images(sets[data]())
            for name in given.plan or PLANS:
                plan = replace(PLANS[name], **TINY, starts=1) if given.quick else PLANS[name]
                runs = [
                    _certified_runs.run(f"{data}_{name}", plan, split, seed, folder)
                    for seed in seeds
                ]
                results[f"{data}_{name}"] = summarise(f"{data}, {name}", runs)
    kept = given.results or (Path(os.devnull) if given.quick else _measure.RESULTS)
    _measure.store("certified_accuracy", _measure.Arguments(given.quick, kept), results)
    if not given.quick and not given.results:
        FIGURE.write_text(draw_certified(curves(results)), encoding="utf-8")


def summarise(name: str, runs: list[Run]) -> dict[str, Any]:
    """Lowest, mean and highest over the seeds at each radius; printed, and what is stored."""
    table: dict[str, list[Run]] = {}
    for norm, rows in runs[0]["accuracy"].items():
        table[norm] = []
        for place, row in enumerate(rows):
            at = {"radius": row["radius"]}
            for kind in ("certified", "certified_of_attacked", "attacked"):
                if kind in row:
                    at[kind] = _ends([run["accuracy"][norm][place][kind] for run in runs])
            table[norm].append(at)
            shown = {kind: at[kind] for kind in ("certified", "attacked") if kind in at}
            words = [f"{k} {' / '.join(f'{e:.4f}' for e in v.values())}" for k, v in shown.items()]
            print(f"{name}, {norm} {row['radius']:.4f}: {', '.join(words)}")
    gains = {norm: max(run["gains"][norm] for run in runs) for norm in table}
    return {
        "plan": runs[0]["plan"],
        "seeds": [run["seed"] for run in runs],
        "images": runs[0]["images"],
        "table": table,
        "gains": gains,
        "radius_quantiles": runs[0]["radius_quantiles"],
        "training_s": [run["training_s"] for run in runs],
        "certificate_s": [run["certificate_s"] for run in runs],
    }


def _ends(scores: list[float]) -> dict[str, float]:
    return {"min": min(scores), "mean": statistics.mean(scores), "max": max(scores)}


def curves(results: dict[str, Any]) -> xarray.Dataset:
    """What the figure shows: certified share against the radius, and what withstood the attack.

    The curve is that of the first seed, all test images; the points are those of all seeds.
    """
    names = list(results)
    norms = list(_certified_runs.RADII)
    quantiles = np.array([[results[n]["radius_quantiles"][m] for m in norms] for n in names])
    most = max(len(radii) for radii in _certified_runs.RADII.values())
    points = np.full((len(names), len(norms), most, 3), np.nan)
    for i, name in enumerate(names):
        for j, norm in enumerate(norms):
            for k, row in enumerate(results[name]["table"][norm]):
                withstood = row.get("attacked", {"mean": np.nan})["mean"]
                points[i, j, k] = row["radius"], row["certified"]["mean"], withstood
    own = [results[n]["plan"]["norm"] for n in names]
    return xarray.Dataset(
        {
            "radius_quantile": (("network", "norm", "quantile"), quantiles),
            "point": (("network", "norm", "place", "what"), points),
            "trained_for": ("network", own),
            "offset": ("network", [results[n]["plan"]["offset"] for n in names]),
        },
        {"network": names, "norm": norms, "what": ["radius", "certified", "attacked"]},
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny runs, to see that it works")
    parser.add_argument("--data", choices=list(SETS), action="append", help="only this data set")
    parser.add_argument("--plan", choices=list(PLANS), action="append", help="only this network")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of them")
    parser.add_argument("--runs", type=Path, help="folder of finished runs")
    parser.add_argument("--results", type=Path, help="folder of the JSON record")
    return parser.parse_args()


if __name__ == "__main__":
    main()
