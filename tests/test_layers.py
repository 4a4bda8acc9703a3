"""Who may import whom. The table's twin for readers is in docs/architecture.md."""

import sys
from pathlib import Path

import pytest

from source_tree import FOLDERS, SOURCES, imported_modules, module_name, show

# Folder -> the folders of limitset that its files may import. Sorted by name.
LAYERS: dict[str, set[str]] = {
    "analysis": {"dynamics", "networks"},
    "checker": set(),
    "cli": {
        "analysis", "checker", "contraction", "dossier", "dynamics", "experiments", "io",
        "meanfield", "networks", "panels", "proofs", "replication", "report", "sweeps", "training",
    },
    "contraction": {"dynamics", "networks", "proofs"},
    "dossier": {"analysis", "contraction", "dynamics", "io", "meanfield", "networks", "proofs"},
    "dynamics": {"networks"},
    "experiments": {"networks", "replication", "sweeps", "training"},
    "io": {"contraction", "dynamics", "networks", "proofs", "replication"},
    "meanfield": {"networks"},
    "networks": set(),
    "panels": {
        "analysis", "contraction", "dynamics", "meanfield", "networks", "proofs", "sweeps",
    },
    "proofs": {"dynamics", "networks"},
    "replication": {"dynamics", "networks", "training"},
    "report": set(),
    "sweeps": set(),
    "training": {"contraction", "dynamics", "networks"},
}  # fmt: skip

# Files beside the folders, open to every folder but the checker; they import no folder.
OPEN = {"_result", "_system", "_types"}

# Package -> the only folders that may import it. Sorted by name.
CONFINED: dict[str, set[str]] = {
    "flint": {"checker", "proofs"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "pooch": {"training"},
    "rich": {"cli"},
    "safetensors": {"io"},
    "sklearn": {"training"},
    "typer": {"cli"},
    "xarray": {"cli", "experiments", "panels", "report", "sweeps"},
    "zarr": {"sweeps"},
}


def folder_of(path: Path) -> str | None:
    parts = module_name(path).split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else None


def violations(path: Path) -> list[str]:
    folder = folder_of(path)
    is_open = folder is None and path.stem in OPEN
    found = []
    for line, name in imported_modules(path):
        top, _, rest = name.partition(".")
        if top == "limitset":
            target = rest.split(".")[0]
            if folder == "checker":
                allowed = {"checker"}
            elif folder is not None:
                allowed = LAYERS[folder] | {folder} | OPEN
            else:
                allowed = OPEN if is_open else {*LAYERS, *OPEN}
            if target not in allowed:
                found.append(f"{show(path)}:{line} imports {name}")
            elif rest.count(".") and target in FOLDERS and target != folder:
                found.append(f"{show(path)}:{line} reaches into a private file: {name}")
        elif top in CONFINED and folder not in CONFINED[top]:
            found.append(f"{show(path)}:{line} imports {top}")
    return found


def test_every_folder_has_its_row():
    assert sorted(FOLDERS) == sorted(LAYERS)
    assert list(LAYERS) == sorted(LAYERS)
    assert list(CONFINED) == sorted(CONFINED)


def test_table_has_no_cycle():
    remaining = {folder: set(row) for folder, row in LAYERS.items()}
    while remaining:
        free = {folder for folder, row in remaining.items() if not row & remaining.keys()}
        assert free, f"these folders import each other: {sorted(remaining)}"
        remaining = {f: row for f, row in remaining.items() if f not in free}


@pytest.mark.parametrize("path", SOURCES, ids=show)
def test_imports_respect_the_table(path: Path):
    assert violations(path) == []


@pytest.mark.parametrize("path", [p for p in SOURCES if folder_of(p) == "checker"], ids=show)
def test_checker_stands_alone(path: Path):
    """The checker's word counts because it shares no code with the prover."""
    allowed = set(sys.stdlib_module_names) | {"flint"}
    for line, name in imported_modules(path):
        top = name.split(".")[0]
        own = name.startswith("limitset.checker")
        assert own or top in allowed, f"{show(path)}:{line} imports {name}"


def test_only_one_file_of_proofs_rounds():
    """Error bounds of rounding are reasoned about in one place."""
    flags = ("nextafter", "fesetround")
    culprits = [
        show(path)
        for path in SOURCES
        if folder_of(path) == "proofs"
        and path.name != "_ball.py"
        and any(flag in path.read_text(encoding="utf-8") for flag in flags)
    ]
    assert culprits == []
