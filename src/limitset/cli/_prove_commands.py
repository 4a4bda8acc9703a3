"""The commands of `limitset prove`: arguments only. Work is imported when it is asked for."""

from pathlib import Path
from typing import Annotated

import typer

from limitset._result import InputProblem
from limitset.cli._answer import Json

prove = typer.Typer(
    help="Prove what a network does: equilibria, Hopf points, cycles, branches, replicators."
)

Model = Annotated[Path, typer.Argument(help="Model folder of a rate network, as a flow.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for certificates and a page with pictures; certificates go to "
        "MODEL/certificates, and there is no page, if omitted."
    ),
]
Parameter = Annotated[
    str, typer.Option(help="gain: a times the weights; shift: a added to all self-weights.")
]
WeightRadius = Annotated[
    float, typer.Option(min=0.0, help="Prove it for all weights within this distance, entrywise.")
]


@prove.command()
def equilibria(
    model: Model,
    box: Annotated[
        tuple[float, float] | None,
        typer.Option(help="LOW HIGH of every unit; the whole space if omitted."),
    ] = None,
    boxes: Annotated[int, typer.Option(min=1, help="Give up after so many boxes.")] = 2_000_000,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Prove all equilibria of a network in a box, or in the whole space."""
    from limitset.cli._prove_equilibria import run_prove_equilibria

    raise typer.Exit(run_prove_equilibria(model, box, boxes, out, as_json))


@prove.command()
def equilibrium(
    model: Model,
    state: Annotated[
        str | None,
        typer.Option(
            help="Start of Newton's method: numbers with commas, or a .npy file; 0 if omitted."
        ),
    ] = None,
    weight_radius: WeightRadius = 0.0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Prove the equilibrium that Newton's method reaches from a state; for networks of any size."""
    from limitset.cli._prove_equilibria import run_prove_equilibrium

    raise typer.Exit(run_prove_equilibrium(model, state, weight_radius, out, as_json))


@prove.command()
def hopf(
    model: Model,
    parameter: Parameter = "gain",
    interval: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", help="LOW HIGH of the parameter."),
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Find Hopf points in a parameter, and prove them."""
    from limitset.cli._prove_hopf import run_prove_hopf

    raise typer.Exit(run_prove_hopf(model, parameter, interval, out, as_json))


@prove.command()
def cycle(
    model: Model,
    state: Annotated[
        str | None,
        typer.Option(help="Where to search: numbers with commas, or a .npy file; random if none."),
    ] = None,
    period: Annotated[
        float | None, typer.Option(help="Of a guess: --state lies near the orbit already.")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="How many random starts.")] = 8,
    weight_radius: WeightRadius = 0.0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Find periodic orbits of a network with tanh, and prove them with their stability."""
    from limitset.cli._prove_cycle import run_prove_cycle

    raise typer.Exit(run_prove_cycle(model, state, period, starts, weight_radius, out, as_json))


@prove.command()
def branch(
    model: Model,
    interval: Annotated[tuple[float, float], typer.Option("--range", help="LOW HIGH.")],
    parameter: Parameter = "gain",
    state: Annotated[
        str | None,
        typer.Option(help="Near an equilibrium at LOW: numbers with commas, or a .npy file."),
    ] = None,
    step: Annotated[float, typer.Option(help="The longest step along the branch.")] = 0.1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Prove a branch of equilibria, and count its Hopf points, folds and pitchforks."""
    from limitset.cli._prove_branch import run_prove_branch

    raise typer.Exit(run_prove_branch(model, parameter, interval, state, step, out, as_json))


@prove.command()
def replicator(
    model: Annotated[Path, typer.Argument(help="Model folder of a particle, or of an organism.")],
    within: Annotated[
        float, typer.Option(help="How far from the stored weights the replicator may be.")
    ] = 1e-3,
    positional: Annotated[
        bool,
        typer.Option("--positional", help="List all replicators that are linear in their places."),
    ] = False,
    reach: Annotated[float, typer.Option(help="With --positional: the largest size.")] = 10.0,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Prove instead how small weights collapse to zero.")
    ] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Prove that an exact self-replicator lies near a particle's weights, and how stable it is."""
    from limitset.cli._prove_replicator import (
        run_prove_collapse,
        run_prove_positional,
        run_prove_replicator,
    )

    if positional and collapse:
        raise InputProblem("--positional and --collapse came together; give one of them")
    if positional:
        raise typer.Exit(run_prove_positional(model, reach, out, as_json))
    if collapse:
        raise typer.Exit(run_prove_collapse(model, out, as_json))
    raise typer.Exit(run_prove_replicator(model, within, out, as_json))
