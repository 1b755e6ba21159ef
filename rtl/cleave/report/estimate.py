"""Area of arrays that were not synthesised, estimated from those that were (`make report-cells` records them in areas.json).

Cells are counted at their measured area per MAC. Every other part of the array is fitted, by least squares, to what it is made of:
seams by column and slab, sequencers by slab, and so on. Memories are not counted, nor what an engine has besides its array.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..config import ArrayConfig, EngineConfig
from .goals import ARRAYS
from .liberty import LibraryError

__all__ = ["RECORDED", "AreaEstimate", "libraries", "recorded", "write"]

RECORDED = Path(__file__).with_name("areas.json")

KINDS: dict[str, Callable[[EngineConfig], EngineConfig]] = {"split": lambda config: config, "monolithic": EngineConfig.monolithic}
"""Arrays of a report, and the engine that each one is of."""

FEATURES: dict[str, Callable[[ArrayConfig], tuple[int, ...]]] = {
    "seams": lambda array: (array.slabs * array.columns, array.columns),
    "skew": lambda array: (array.slabs * array.rows * (array.cells - 1), array.slabs * array.columns * array.load_rows),
    "sequencers": lambda array: (array.slabs,),
    "ports": lambda array: (array.columns, array.columns * array.columns),
    "control": lambda array: (array.slabs, array.slabs * array.columns, array.columns),
}
"""What each part besides the cells is proportional to, together."""


def write(reports: Mapping[str, Mapping[str, Any]], path: Path = RECORDED) -> None:
    """Record what estimates need of the reports of all libraries."""
    found = {
        library: {
            "um2_per_mac": {
                str(dot): round(report["cells"][f"gates, dot {dot}"]["um2_per_mac"], 3) for dot in (1, 2, 4, 8, 16)
            },
            "parts_um2": {
                shape: {kind: {part: round(um2, 1) for part, um2 in array["parts"][kind].items()} for kind in KINDS}
                for shape, array in report["arrays"].items()
            },
        }
        for library, report in reports.items()
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


@cache
def recorded() -> dict[str, Any]:
    """Read what was recorded, by library."""
    return json.loads(RECORDED.read_text())


def libraries() -> tuple[str, ...]:
    """Give the libraries that there are measurements of."""
    return tuple(recorded())


class AreaEstimate:
    """Estimates areas of arrays with `gates` cells on one library.

    Parameters
    ----------
    library
        One of `libraries()`.

    Attributes
    ----------
    worst
        Largest relative error on the arrays that it was fitted to, split and monolithic.

    Raises
    ------
    LibraryError
        If there are no measurements of the library.
    """

    def __init__(self, library: str) -> None:
        if library not in recorded():
            raise LibraryError(f"library must be one of {', '.join(libraries())}, not {library!r}")
        self.library = library
        self._um2_per_mac = {int(dot): um2 for dot, um2 in recorded()[library]["um2_per_mac"].items()}
        measured = [
            (make(ARRAYS[shape]), parts)
            for shape, kinds in recorded()[library]["parts_um2"].items() for kind, parts in kinds.items() for make in [KINDS[kind]]
        ]  # fmt: skip
        plain = [(config, parts) for config, parts in measured if not config.block_scales]
        self._weights = {
            part: np.linalg.lstsq(
                np.array([features(config.array) for config, _ in plain], float),
                np.array([parts[f"{part}_um2"] for _, parts in plain]),
            )[0]
            for part, features in FEATURES.items()
        }
        scaled = {config.array: parts for config, parts in measured if config.block_scales}
        self._scales = {
            part: float(np.mean([
                scaled[config.array][f"{part}_um2"] / parts[f"{part}_um2"] for config, parts in plain if config.array in scaled
            ]))
            for part in FEATURES
        }  # fmt: skip
        self.worst = max(abs(self.um2(config) / sum(parts.values()) - 1) for config, parts in measured)

    def um2(self, config: EngineConfig) -> float:
        """Estimate the logic of an engine's array in um2, for INT8 stationary operands."""
        array = config.array
        whole = self._um2_per_mac[array.dot] * array.slabs * array.rows * array.columns
        for part, features in FEATURES.items():
            um2 = float(np.dot(self._weights[part], features(array)))
            whole += um2 * (self._scales[part] if config.block_scales else 1)
        return whole
