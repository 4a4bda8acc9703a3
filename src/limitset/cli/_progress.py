"""A progress bar for training, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from limitset.training import Epoch


@contextmanager
def training_bar(label: str, epochs: int) -> Iterator[Callable[[Epoch], None]]:
    """Yields what `fit` calls after every epoch; the bar vanishes at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed}/{task.total}  {task.fields[state]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # A pipe or log file gets no bar, so that an error is all there is on standard error.
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as progress:
        bar = progress.add_task(label, total=epochs, state="compiling")

        def show(epoch: Epoch) -> None:
            certified = f"factor {epoch.factor:.4f}" if epoch.factor else "not certified"
            state = f"loss {epoch.loss:.3f}  {certified}"
            progress.update(bar, completed=epoch.index + 1, state=state)

        yield show
