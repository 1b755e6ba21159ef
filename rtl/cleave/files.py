"""Writing files whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` that takes its place when all is written, or is removed; a symbolic link stays one.

    Raises
    ------
    OSError
        If `path` is something other than a regular file, or may not be written.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} must be a regular file, or not exist")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} must be writable")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with replacing(path) as file:
        file.write_text(json.dumps(values, indent=2) + "\n")
