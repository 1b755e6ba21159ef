"""Standard-cell libraries in Liberty files."""

import contextlib
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Library", "LibraryError", "open_library"]

_LIBRARY = re.compile(r'^\s*library\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{', re.MULTILINE)
_CELL = re.compile(r'^\s*cell\s*\(\s*"?([\w$.\[\]]+)"?\s*\)\s*\{', re.MULTILINE)
_AREA = re.compile(r'\barea\s*:\s*"?([-+\w.]+?)"?\s*;')
_FLIP_FLOP = re.compile(r"\bff\s*\(")
_POWER = re.compile(r"\b(?:internal_power|leakage_power)\s*\([^)]*\)\s*\{")
_BRACE = re.compile(r"[{}]")


class LibraryError(ValueError):
    """Files that are no standard-cell library, or one that lacks what a netlist needs."""


@dataclass(frozen=True, eq=False)
class Library:
    """A library, decompressed in a folder of its own, without its tables of power, which are most of it and not measured.

    Attributes
    ----------
    name
        As its first file has it.
    files
        Liberty files, all of which together are the library.
    areas_um2
        Area of each cell. Liberty has no unit of area; by convention it is the square micrometre.
    registers
        Cells that are flip-flops.
    """

    name: str
    files: tuple[Path, ...]
    areas_um2: dict[str, float]
    registers: frozenset[str]


@contextlib.contextmanager
def open_library(*paths: Path | str) -> Iterator[Library]:
    """Open the library that Liberty files, .lib or .lib.gz, make up together.

    Raises
    ------
    LibraryError
        If one cannot be read or is not a Liberty file, or if they have no flip-flop.
    """
    with tempfile.TemporaryDirectory(prefix="cleave_report_") as folder:
        names, areas, registers, files = [], {}, set(), []
        for number, path in enumerate(map(Path, paths)):
            text = _read(path)
            header = _LIBRARY.search(text)
            if header is None:
                raise LibraryError(f"{path} must be a Liberty file, with a library in it")
            names.append(header[1])
            for cell, body in _cells(path, text):
                areas[cell] = _area(path, cell, body)
                if _FLIP_FLOP.search(body):
                    registers.add(cell)
            files.append(Path(folder) / f"library_{number}.lib")
            files[-1].write_text(_without_power(text))
        if not registers:
            raise LibraryError(f"a library must have flip-flops, which {' and '.join(map(str, paths))} lacks")
        yield Library(names[0], tuple(files), areas, frozenset(registers))


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise LibraryError(f"{path} must be a Liberty file, plain or compressed by gzip: {error}") from error


def _without_power(text: str) -> str:
    kept, position = [], 0
    for group in _POWER.finditer(text):
        if group.start() < position:
            continue
        kept.append(text[position : group.start()])
        position, depth = group.end(), 1
        while depth and (brace := _BRACE.search(text, position)):
            position, depth = brace.end(), depth + (1 if brace[0] == "{" else -1)
    return "".join([*kept, text[position:]])


def _cells(path: Path, text: str) -> list[tuple[str, str]]:
    starts = list(_CELL.finditer(text))
    if not starts:
        raise LibraryError(f"{path} must be a Liberty file with cells")
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return [(start[1], text[start.end() : end]) for start, end in zip(starts, ends, strict=True)]


def _area(path: Path, cell: str, body: str) -> float:
    area = _AREA.search(body)
    try:
        return float(area[1]) if area is not None else 0.0
    except ValueError as error:
        raise LibraryError(f"{path}: area of {cell} must be a number, not {area and area[1]}") from error
