"""Progress of training and of long proofs, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from limitset.proofs import SearchProgress
from limitset.sweeps import SweepProgress
from limitset.training import DeepEpoch, Epoch

_BAR = (TextColumn("{task.description}"), BarColumn())


@contextmanager
def training_bar(
    label: str, epochs: int, *, shown: bool = True
) -> Iterator[Callable[[Epoch], None]]:
    """Yields what `fit` calls after every epoch; the bar vanishes at the end."""
    words = TextColumn("epoch {task.completed}/{task.total}  {task.fields[state]}")
    with _shown(*_BAR, words, TimeRemainingColumn(), wanted=shown) as progress:
        bar = progress.add_task(label, total=epochs, state="compiling")

        def show(epoch: Epoch) -> None:
            certified = f"factor {epoch.factor:.4f}" if epoch.factor else "not certified"
            state = f"loss {epoch.loss:.3f}  {certified}"
            progress.update(bar, completed=epoch.index + 1, state=state)

        yield show


@contextmanager
def epoch_bar(label: str, epochs: int) -> Iterator[Callable[[DeepEpoch], None]]:
    """Yields what `fit_deep` calls after every epoch; the bar vanishes at the end."""
    words = TextColumn("epoch {task.completed}/{task.total}  {task.fields[state]}")
    with _shown(*_BAR, words, TimeRemainingColumn()) as progress:
        bar = progress.add_task(label, total=epochs, state="compiling")

        def show(epoch: DeepEpoch) -> None:
            progress.update(bar, completed=epoch.index + 1, state=f"loss {epoch.loss:.3f}")

        yield show


@contextmanager
def search_bar(label: str) -> Iterator[Callable[[SearchProgress], None]]:
    """Yields what a search calls after every batch of boxes; the line vanishes at the end."""
    words = TextColumn("{task.description}: {task.fields[state]}")
    with _shown(SpinnerColumn(), words) as progress:
        line = progress.add_task(label, total=None, state="starting")

        def show(search: SearchProgress) -> None:
            state = f"{search.proved} proved, {search.searched} boxes searched"
            progress.update(line, state=f"{state}, {search.waiting} waiting")

        yield show


@contextmanager
def proving_bar(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Yields what to call after each of so many proofs; the bar vanishes at the end."""
    words = TextColumn("{task.completed}/{task.total}")
    with _shown(*_BAR, words, TimeRemainingColumn()) as progress:
        bar = progress.add_task(label, total=total)
        yield lambda: progress.advance(bar)


@contextmanager
def sweep_bar(label: str) -> Iterator[Callable[[SweepProgress], None]]:
    """Yields what a sweep calls after every point; several sweeps may follow each other."""
    words = TextColumn("{task.completed}/{task.total}")
    with _shown(*_BAR, words, TimeRemainingColumn()) as progress:
        bar = progress.add_task(label, total=None)

        def show(sweep: SweepProgress) -> None:
            progress.update(bar, completed=sweep.complete, total=sweep.total)

        yield show


def _shown(*columns: ProgressColumn, wanted: bool = True) -> Progress:
    """On a terminal only: pipes and log files get no bar, so that errors stand there alone."""
    console = Console(stderr=True)
    return Progress(
        *columns, console=console, transient=True, disable=not (wanted and console.is_terminal)
    )
