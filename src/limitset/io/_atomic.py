"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path

from limitset._result import InputProblem


def write_whole(path: Path, content: bytes) -> None:
    """Write a file through a temporary one beside it, so that no reader ever sees half of it.

    **Raises:** `InputProblem` if the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputProblem(f"{path} cannot be written ({error.strerror}); choose another place") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private; what a user asked for gets the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputProblem(f"{path} cannot be written ({error.strerror}); choose another place") from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
