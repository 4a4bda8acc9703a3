"""`limitset phase` without a model: diagrams of planes, and panels of theory over simulation."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import xarray

from limitset._result import InputProblem
from limitset.cli._answer import print_json
from limitset.cli._phase_words import parse_axis, parse_settings
from limitset.cli._progress import sweep_bar
from limitset.io import require_writable, write_whole
from limitset.panels import PANELS, Effort, Panel, Plane, Report, compute_diagram
from limitset.report import DRAWINGS, Page, Section, draw_diagram, render_page

Compute = Callable[[Path, Report], xarray.Dataset]


@dataclass(frozen=True)
class Work:
    """One figure to be made: its name, title, how its numbers are computed and drawn."""

    name: str
    title: str
    effort: Effort
    compute: Compute
    draw: Callable[[xarray.Dataset], str]


def run_panels(names: Sequence[str], out: Path, overrides: dict[str, float], as_json: bool) -> int:
    """Compute and draw panels by name; `all` stands for every one."""
    chosen = list(PANELS) if "all" in names else list(dict.fromkeys(names))
    for name in chosen:
        if name not in PANELS:
            raise InputProblem(f"panel {name!r} is not known; use all, {', '.join(PANELS)}")
    return _make([_work_of(PANELS[name], overrides) for name in chosen], out, as_json)


def run_diagram(
    axes: tuple[str | None, str | None],
    words: list[str],
    out: Path,
    overrides: dict[str, float],
    as_json: bool,
) -> int:
    """Compute and draw the phase diagram of one plane."""
    x, y = axes
    x_name, x_values = parse_axis("--x", x or "output_gain=0:30:21")
    y_name, y_values = parse_axis("--y", y or "gain=1.2:4.4:21")
    parameters, input_variance = parse_settings(words, (x_name, y_name))
    plane = Plane(x_name, x_values, y_name, y_values, parameters, input_variance)
    effort = replace(Effort(), **overrides)

    def compute(store: Path, report: Report) -> xarray.Dataset:
        return compute_diagram(plane, effort, store=store, report=report)

    title = f"{y_name} against {x_name}"
    return _make([Work("plane", title, effort, compute, draw_diagram)], out, as_json)


def _work_of(panel: Panel, overrides: dict[str, float]) -> Work:
    effort = replace(panel.effort, **overrides)

    def compute(store: Path, report: Report) -> xarray.Dataset:
        return panel.compute(effort, store, report)

    return Work(panel.name, panel.title, effort, compute, DRAWINGS[panel.name])


def _make(works: list[Work], out: Path, as_json: bool) -> int:
    """Figures one by one, each written as soon as it is drawn, then the page."""
    require_writable(out)
    sections, made = [], []
    for work in works:
        began = time.perf_counter()
        with sweep_bar(work.name) as report:
            found = work.compute(out / "store" / work.name, report)
        figure = work.draw(found)
        write_whole(out / f"{work.name}.svg", figure.encode())
        seconds = time.perf_counter() - began
        sections.append(_section(work, figure, seconds))
        made.append({"panel": work.name, "figure": str(out / f"{work.name}.svg")})
        if not as_json:
            print(f"{work.name}: {work.title}; {seconds:.0f} s, {out / work.name}.svg", flush=True)
    page = Page("Phase diagrams", _SUMMARY, tuple(sections), "made by limitset phase")
    write_whole(out / "phase.html", render_page(page).encode())
    if as_json:
        print_json({"panels": made, "page": str(out / "phase.html")})
    else:
        print(f"page: {out / 'phase.html'}")
    return 0


def _section(work: Work, figure: str, seconds: float) -> Section:
    effort = work.effort
    words = (
        f"Networks of {effort.units} units, {effort.seeds} for each point, {effort.time:g} units "
        f"of time; {seconds:.0f} s."
    )
    return Section(f"{work.name}: {work.title}", (words,), (figure,))


_SUMMARY = (
    "Lines are mean-field theory for infinitely large networks, in float64; colours and dots are "
    "finite random networks, sampled. Neither is a statement about one given network; what is "
    "proved of one is labelled verified."
)
