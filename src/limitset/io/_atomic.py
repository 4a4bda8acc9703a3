"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from limitset._result import InputProblem


def write_whole(path: Path, content: bytes) -> None:
    """Write a file through a temporary one beside it, so that no reader ever sees half of it.

    **Raises:** `InputProblem` if the place cannot be written.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files; none takes its name before the last one is safely on the disk.

    **Raises:** `InputProblem` if a place cannot be written; then no file has changed, unless the
    renaming itself failed.
    """
    staged: list[tuple[str, Path]] = []
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            staged.append((temporary, path))
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # Temporary files are private; what a user asked for gets the usual permissions.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
        for temporary, path in staged:
            os.replace(temporary, path)
    except OSError as error:
        raise InputProblem(
            f"{path} cannot be written ({error.strerror}); choose another place"
        ) from None
    finally:
        for temporary, _ in staged:
            Path(temporary).unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Refuse a folder that could not be written later; leaves nothing behind.

    Long work calls it first, so that hours are not lost to a wrong `--out`.

    **Raises:** `InputProblem` if the folder, or the nearest that exists above it, refuses files.
    """
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):
            pass
    except OSError as error:
        raise InputProblem(
            f"{folder} cannot be written ({error.strerror}); choose another place with --out"
        ) from None


def _nearest(folder: Path) -> Path:
    try:
        folder.lstat()
    except FileNotFoundError:
        return _nearest(folder.parent)
    return folder
