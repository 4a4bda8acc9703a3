"""`limitset organism`: experiments with replicators, resumable, with figures and a page."""

import time
from pathlib import Path

import xarray

from limitset._result import InputProblem
from limitset.cli._answer import print_json
from limitset.cli._progress import sweep_bar
from limitset.experiments import EXPERIMENTS, Experiment, Row, read_settings
from limitset.io import require_writable, write_whole
from limitset.report import EXPERIMENT_DRAWINGS, Page, Section, Table, render_page


def run_organism(name: str, words: list[str], out: Path, as_json: bool) -> int:
    """Compute, draw and tabulate one experiment; returns the exit code."""
    if name not in EXPERIMENTS:
        known = ", ".join(EXPERIMENTS)
        raise InputProblem(f"experiment {name!r} is not known; use one of {known}")
    experiment = EXPERIMENTS[name]
    settings = read_settings(experiment.settings, words)
    require_writable(out)
    began = time.perf_counter()
    with sweep_bar(name) as report:
        found = experiment.compute(settings, out / "store" / name, report)
    seconds = time.perf_counter() - began
    figures = _write_figures(experiment, found, out)
    rows = experiment.rows(found)
    page = out / f"{name}.html"
    write_whole(page, _page(experiment, rows, figures, f"{settings}; {seconds:.0f} s").encode())
    if as_json:
        table = [{"quantity": r.quantity, "theirs": r.theirs, "ours": r.ours} for r in rows]
        print_json({"experiment": name, "rows": table, "page": str(page), "seconds": seconds})
        return 0
    print(f"{name}: {experiment.title}; {seconds:.0f} s")
    for row in rows:
        print(f"  {row.quantity}: theirs {row.theirs}; ours {row.ours}")
    print(f"page: {page}")
    return 0


def _write_figures(experiment: Experiment, found: xarray.Dataset, out: Path) -> tuple[str, ...]:
    figures = EXPERIMENT_DRAWINGS[experiment.name](found)
    for k, figure in enumerate(figures):
        suffix = f"_{k + 1}" if len(figures) > 1 else ""
        write_whole(out / f"{experiment.name}{suffix}.svg", figure.encode())
    return figures


def _page(experiment: Experiment, rows: tuple[Row, ...], figures: tuple[str, ...], how: str) -> str:
    table = Table(
        ("quantity", "published", "here"), tuple((r.quantity, r.theirs, r.ours) for r in rows)
    )
    section = Section(experiment.title, (how,), figures, table)
    return render_page(
        Page(f"Replicators: {experiment.name}", _SUMMARY, (section,), "made by limitset organism")
    )


_SUMMARY = (
    "Numbers here are sampled: several seeds, least, mean and most. What is published was read in "
    "papers, figures and logs. Only what is called verified is proved."
)
