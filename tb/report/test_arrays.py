"""Arrays, composed of modules that are synthesised once: against the same array synthesised flat, and against the configuration."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cleave.array.array import Array
from cleave.config import ArrayConfig, EngineConfig
from cleave.report.arrays import MEMORY, ArrayArea, measure
from cleave.report.liberty import Library, open_library
from cleave.report.synthesis import MODULE, TOP, convert_one, synthesise
from tb.report.mini import liberty

PDK = Path(__file__).parents[3] / "shared/pdk/sky130hd_tt.lib.gz"
SMALL = EngineConfig(
    ArrayConfig(slabs=2, rows=8, columns=4, dot=2, cell="gates"),
    moving_depth=64, stationary_depth=64, accumulator_depth=32, parameter_depth=8, axi_data_width=64,
)  # fmt: skip
CELLS, SEAMS, SKEW, CONTROL = "column", "seam", "skew", ("slab", "array")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> ArrayArea:
    """Give the split array on the small library."""
    path = tmp_path_factory.mktemp("library") / "mini.lib"
    path.write_text(liberty())
    with open_library(path) as library:
        return measure(SMALL, library)


def flat_um2(config: EngineConfig, library: Library, folder: Path) -> float:
    """Give the area of an array that is synthesised as one module, without its memories."""
    design = convert_one(Array(config))
    memories = [name for name in MODULE.findall(design.rtlil) if re.fullmatch(MEMORY, name.removeprefix(f"{TOP}_"))]
    assert memories
    return synthesise(design, library, folder, black_boxes=memories)[TOP].area_um2(library)


def composed_um2(area: ArrayArea) -> float:
    """Give the area of the modules that an array without its engine has."""
    return sum(each.instances * each.um2 for each in area.modules if each.module in ("column", "seam", "slab", "array"))


@pytest.mark.parametrize("slabs", [1, 3])
def test_composed_as_flat(slabs: int, mini: Library, tmp_path: Path) -> None:
    """Within 1 %; of several slabs the first one's seams, which flat are simpler, count as all."""
    array = replace(SMALL.array, slabs=slabs, rows=16)
    config = replace(SMALL, array=array)
    flat, composed = flat_um2(config, mini, tmp_path), composed_um2(measure(config, mini))
    assert composed == pytest.approx(flat, rel=0.01 if slabs == 1 else 0.03)
    assert composed > 0.99 * flat
