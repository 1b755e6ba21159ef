"""What the report must show, in one place, and the arrays it shows it for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..config import PRESETS, ArrayConfig, EngineConfig

__all__ = ["ARRAYS", "GOALS", "Goal", "applies"]

_LARGE = replace(PRESETS["large"], array=replace(PRESETS["large"].array, cell="gates"))

ARRAYS: dict[str, EngineConfig] = {
    "4x8x32": EngineConfig(ArrayConfig(slabs=4, rows=8, columns=32, dot=4, cell="gates")).plain(),
    "4x16x64": replace(PRESETS["medium"], array=replace(PRESETS["medium"].array, cell="gates")).plain(),
    "4x32x128": _LARGE.plain(),
    "4x32x128 with block scales": _LARGE,
}
"""slabs x rows x columns."""


@dataclass(frozen=True)
class Goal:
    """The most that a number of the report may be.

    Attributes
    ----------
    section, row, key
        Where the number is: a row of the cells, or an array.
    most
        Its limit.
    """

    section: str
    row: str
    key: str
    most: float

    def measured(self, report: Mapping[str, Any]) -> float | None:
        """Give the number; None if it was not measured, as delays are not without OpenSTA."""
        return report[self.section][self.row][self.key]

    def missed(self, report: Mapping[str, Any]) -> bool:
        """Whether it was measured, and is too much."""
        number = self.measured(report)
        return number is not None and number > self.most


GOALS = [
    Goal("cells", "gates, dot 4", "um2_per_mac", 2400),
    Goal("cells", "gates, dot 8", "um2_per_mac", 2250),
    Goal("cells", "gates, dot 8, 1 stage", "um2_per_mac", 2400),
    Goal("cells", "gates, dot 8, 1 stage", "delay_ns", 5.5),
    Goal("arrays", "4x32x128", "split_over_monolithic", 1.05),
    Goal("arrays", "4x32x128", "split_over_textbook", 0.70),
    Goal("arrays", "4x16x64", "split_over_monolithic", 1.09),
    Goal("arrays", "4x16x64", "split_over_textbook", 0.74),
    Goal("arrays", "4x32x128 with block scales", "split_over_monolithic", 1.10),
]
"""On SkyWater's library."""


def applies(library: str) -> bool:
    """Whether the goals are for a library of this name."""
    return library.startswith("sky130_fd_sc_hd")
