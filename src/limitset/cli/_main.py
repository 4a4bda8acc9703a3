"""The `limitset` command: arguments in, exit codes out. Work is imported when it is asked for."""

import io
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from limitset._result import InputProblem
from limitset.cli._answer import Json, print_json
from limitset.cli._prove_commands import prove

app = typer.Typer(
    name="limitset",
    help="Tells where a neural network goes, and proves it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# typer brings its own copy of click in some versions; this finds the base of its errors in all.
_UsageError: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)


def main() -> None:
    """Run the command line. Exit codes: 0 done and it holds, 1 it does not, 2 unusable input."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold bytes that are no text.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = _run()
    if code == _INTERRUPTED:
        print(
            "limitset: interrupted; run it again (train goes on after its last finished epoch, "
            "with --seeds from the start)",
            file=sys.stderr,
        )
    try:
        sys.stdout.flush()
    except OSError as error:
        # The reader has gone, or the disk is full; Python must not try again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            code = _complain(f"the output cannot be written ({error.strerror}); make room for it")
    sys.exit(code)


_INTERRUPTED = 130


def _run() -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except InputProblem as problem:
        return _complain(str(problem))
    except _UsageError as error:
        message = error.format_message().rstrip(".")  # pyright: ignore[reportAttributeAccessIssue]
        return _complain(f"{message}; see limitset --help")
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        return 1
    except OSError as error:
        place = error.filename or "a file"
        return _complain(f"{place} cannot be used ({error.strerror}); choose another place")
    except MemoryError:
        return _complain("not enough memory; take a smaller model, or a larger machine")
    except (ArithmeticError, RuntimeError) as error:
        from limitset.proofs import UnsoundArithmetic
        from limitset.training import Diverged

        if not isinstance(error, Diverged | UnsoundArithmetic):
            raise
        return _complain(str(error))


def _complain(message: str) -> int:
    print(f"limitset: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _show_version(wanted: bool) -> bool:
    if wanted:
        print(f"limitset {version('limitset')}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Tells where a neural network goes, and proves it."""
    del show_version


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for page, model, certificate.")] = Path(
        "limitset-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of weights and shuffles.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training digits.")] = 200,
) -> None:
    """Train on real digits, certify, check, report: the whole story in a few minutes."""
    from limitset.cli._demo import run_demo

    raise typer.Exit(run_demo(out, seed, epochs))


@app.command()
def train(
    task: Annotated[str, typer.Argument(help="digits, smnist, psmnist, nais_mnist, ...")],
    out: Annotated[
        Path | None, typer.Option(help="Model folder; limitset-TASK if omitted.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, as often as needed.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Replace a finished model in that folder.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Train so many seeds in one program, into OUT/seed-N.")
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(help="HOST:PORT of process 0, where several processes meet.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="How many processes train.")] = None,
    process: Annotated[int | None, typer.Option(help="Which of them this is, from 0.")] = None,
    as_json: Json = False,
) -> None:
    """Train a stable network on a task; interrupted runs go on where they stopped."""
    from limitset.cli._meeting import meeting_of
    from limitset.cli._train import run_train
    from limitset.cli._train_deep import run_train_deep
    from limitset.cli._train_seeds import run_train_seeds

    folder = Path(f"limitset-{task}") if out is None else out
    words = settings or []
    meeting = meeting_of(coordinator, processes, process)
    flags = {"overwrite": overwrite, "as_json": as_json}
    if task.startswith("nais_"):
        if meeting is not None:
            raise InputProblem("deep networks train in one process; leave --processes out")
        raise typer.Exit(run_train_deep(task, folder, words, seeds, **flags))
    if seeds is None:
        raise typer.Exit(run_train(task, folder, words, **flags, meeting=meeting))
    if meeting is not None:
        raise InputProblem("several processes train one model; leave --seeds or --processes out")
    raise typer.Exit(run_train_seeds(task, folder, words, seeds, **flags))


@app.command()
def certify(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the certificate; MODEL/certificates if omitted.")
    ] = None,
    input_bound: Annotated[
        float, typer.Option(help="Bound of each |input|, for the float32 statement.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Prove that all trajectories of a model approach each other, and write the certificate."""
    from limitset.cli._certify import run_certify

    raise typer.Exit(run_certify(model, out, input_bound, as_json))


app.add_typer(prove, name="prove")


@app.command()
def phase(
    model: Annotated[
        Path | None, typer.Argument(help="Model folder; a diagram of an ensemble if omitted.")
    ] = None,
    panel: Annotated[
        list[str] | None, typer.Option(help="diagram, spectra, exponents, ..., or all.")
    ] = None,
    x: Annotated[str | None, typer.Option(help="NAME=LOW:HIGH:COUNT, such as gain=1:4:21.")] = None,
    y: Annotated[str | None, typer.Option(help="The same for the other axis.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the ensemble.")
    ] = None,
    units: Annotated[int | None, typer.Option(help="Units of each simulated network.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Networks at each point.")] = None,
    measured: Annotated[
        float | None, typer.Option("--time", help="Units of time that are measured.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(help="With MODEL: advice for this memory, in steps or time.")
    ] = None,
    exponents: Annotated[
        int | None, typer.Option(help="With MODEL: how many Lyapunov exponents, 1 if omitted.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for page, figures and stores; limitset-phase.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Where a network is in the phase diagram; or the diagram, theory over simulation."""
    options = {"units": units, "seeds": seeds, "time": measured}
    overrides = {name: value for name, value in options.items() if value is not None}
    folder = Path("limitset-phase") if out is None else out
    if model is not None:
        if panel or x or y or settings or overrides or out is not None:
            raise InputProblem(
                f"{model} is a model, and --panel, --x, --y, --set, --units, --seeds, --time and "
                "--out are for ensembles; leave them out"
            )
        from limitset.cli._phase_model import run_phase_model

        count = 1 if exponents is None else exponents
        raise typer.Exit(run_phase_model(model, memory, count, as_json))
    if memory is not None or exponents is not None:
        raise InputProblem("--memory and --exponents are for a model; name its folder")
    from limitset.cli._phase import run_diagram, run_panels

    if panel:
        if x or y or settings:
            raise InputProblem("--panel has its own plane; leave --x, --y and --set out")
        raise typer.Exit(run_panels(panel, folder, overrides, as_json))
    raise typer.Exit(run_diagram((x, y), settings or [], folder, overrides, as_json))


@app.command()
def organism(
    experiment: Annotated[
        str,
        typer.Argument(
            help="replicate, soup, goals, addition, mnist, prune, robustness or memory."
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the experiment, as seeds=5.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for page, figures and store.")] = Path(
        "limitset-organism"
    ),
    as_json: Json = False,
) -> None:
    """Experiments with networks that replicate themselves, published numbers beside ours."""
    from limitset.cli._organism import run_organism

    raise typer.Exit(run_organism(experiment, settings or [], out, as_json))


@app.command()
def check(
    certificates: Annotated[list[Path], typer.Argument(help="Certificate files.")],
    model: Annotated[
        Path | None, typer.Option(help="Model folder to compare with, if not the one around.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove certificates again, with code that shares nothing with the prover."""
    from limitset.checker import Unusable
    from limitset.checker import check as check_file

    if model is not None and not os.path.isdir(model):
        raise InputProblem(f"{model} is no folder; give a model folder with --model")
    worst = 0
    for path in certificates:
        try:
            verdict = check_file(path, model)
        except Unusable as problem:
            worst = max(worst, _complain(str(problem)))
            if as_json:
                print_json({"accepted": False, "claim": "", "reason": str(problem)})
            continue
        worst = max(worst, 0 if verdict.accepted else 1)
        answer = {"accepted": verdict.accepted, "claim": verdict.claim, "reason": verdict.reason}
        if as_json:
            print_json(answer)
        else:
            word = "accepted" if verdict.accepted else "rejected"
            rest = "; ".join(part for part in (verdict.claim, verdict.reason) if part)
            print(" ".join(f"{word}: {path}: {rest}".split()))
    raise typer.Exit(worst)
