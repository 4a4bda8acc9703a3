"""`limitset organism`: names and settings, what is written, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import xarray

from command_line import Reply
from limitset import InputProblem
from limitset.experiments import EXPERIMENTS, Experiment, Report, Row
from limitset.report import EXPERIMENT_DRAWINGS
from limitset.sweeps import sweep

Command = Callable[..., Reply]
SQUARE = '<svg xmlns="http://www.w3.org/2000/svg"><title>{}</title></svg>'


@dataclass(frozen=True)
class LittleSettings:
    seeds: int = 2
    noise: float = 0.5

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputProblem(f"seeds is {self.seeds}; give 1 or more")


def compute(settings: LittleSettings, store: Path | None, report: Report | None) -> xarray.Dataset:
    return sweep(
        lambda seed, noise: {"value": seed + noise},
        {"seed": range(settings.seeds)},
        store=store,
        settings={"noise": settings.noise},
        report=report,
    )


def rows(found: xarray.Dataset) -> tuple[Row, ...]:
    return (Row("largest <value>", "-", f"{float(found['value'].max()):g}"),)


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment that takes no time."""
    title = "a little experiment"
    one = Experiment("little", title, LittleSettings, compute, rows)
    monkeypatch.setitem(EXPERIMENTS, "little", one)
    monkeypatch.setitem(
        EXPERIMENT_DRAWINGS, "little", lambda _: (SQUARE.format("one"), SQUARE.format("two"))
    )


def test_rows_figures_and_page(limitset: Command, tmp_path: Path):
    reply = limitset("organism", "little", "--set", "noise=0.25", "--out", tmp_path / "out")
    assert reply.code == 0
    assert "a little experiment" in reply.out
    assert "largest <value>: theirs -; ours 1.25" in reply.out
    assert (tmp_path / "out" / "little_1.svg").read_text() == SQUARE.format("one")
    assert (tmp_path / "out" / "little_2.svg").read_text() == SQUARE.format("two")
    page = (tmp_path / "out" / "little.html").read_text()
    assert "largest &lt;value&gt;" in page and "1.25" in page and page.count("<svg") == 2


def test_it_answers_other_programs(limitset: Command, tmp_path: Path):
    reply = limitset("organism", "little", "--out", tmp_path, "--json")
    (answer,) = reply.answers
    assert reply.code == 0 and answer["experiment"] == "little"
    assert answer["rows"] == [{"quantity": "largest <value>", "theirs": "-", "ours": "1.5"}]
    assert Path(answer["page"]).is_file() and answer["seconds"] >= 0


def test_it_goes_on_from_its_store(limitset: Command, tmp_path: Path):
    assert limitset("organism", "little", "--out", tmp_path).code == 0
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    assert limitset("organism", "little", "--out", tmp_path).code == 0
    assert stored == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    other = limitset("organism", "little", "--set", "noise=1", "--out", tmp_path)
    assert other.code == 2 and "another sweep" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "experiment 'nothing' is not known; use one of"),
        (["little", "--set", "seeds"], "setting 'seeds' has no value"),
        (["little", "--set", "sizes=3"], "setting 'sizes' is not known; use one of seeds, noise"),
        (["little", "--set", "seeds=few"], "seeds is 'few'; give a whole number"),
        (["little", "--set", "seeds=0"], "seeds is 0; give 1 or more"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    limitset: Command, tmp_path: Path, words: list[str], message: str
):
    reply = limitset("organism", *words, "--out", tmp_path / "out")
    assert reply.code == 2 and reply.out == ""
    assert message in reply.err and reply.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_refused_before_anything_runs(limitset: Command, tmp_path: Path):
    (tmp_path / "out").write_text("mine")
    reply = limitset("organism", "little", "--out", tmp_path / "out")
    assert reply.code == 2 and (tmp_path / "out").read_text() == "mine"
