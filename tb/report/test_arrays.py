"""Arrays, composed of modules that are synthesised once: against the same array synthesised flat, and against the configuration."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cleave.array.array import Array
from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.top import Engine
from cleave.report import arrays
from cleave.report.area import textbook
from cleave.report.arrays import COMMON, MEMORY, PARTS, measure, measure_column
from cleave.report.liberty import Library, open_library
from cleave.report.synthesis import MODULE, TOP, convert_one, synthesise

SKY130 = Path(__file__).parents[3] / "shared/pdk/sky130hd_tt.lib.gz"
SMALL = EngineConfig(
    ArrayConfig(slabs=2, rows=8, columns=4, dot=2, cell="gates"),
    moving_depth=64, stationary_depth=64, accumulator_depth=32, parameter_depth=8, axi_data_width=64,
).plain()  # fmt: skip


def one_slab(config: EngineConfig = SMALL) -> EngineConfig:
    return replace(config, array=replace(config.array, slabs=1))


def composed(config: EngineConfig, library: Library) -> float:
    """Give the area of an array, without an engine, from its modules."""
    area = arrays._measure(convert_one(Array(config)), library, PARTS)
    return area.with_column(measure_column(config.array, library)).logic_um2


def flat(config: EngineConfig, library: Library, folder: Path) -> float:
    """Give the area of the same array as one module."""
    design = convert_one(Array(config))
    memories = [name for name in MODULE.findall(design.rtlil) if re.fullmatch(MEMORY, name.removeprefix(f"{TOP}_"))]
    assert memories
    return synthesise(design, library, folder, black_boxes=memories)[TOP].area_um2(library)


def check(config: EngineConfig, library: Library, folder: Path, register_um2: float, tolerance: float) -> None:
    """Compare; that the last column's activations are read by no one is known to the flat array only."""
    unread = config.array.rows * 8 * register_um2
    assert composed(config, library) - unread == pytest.approx(flat(config, library, folder), rel=tolerance)


def test_composed_as_flat(mini: Library, tmp_path: Path) -> None:
    """Within 1.5 %, as small columns have large edges."""
    check(one_slab(), mini, tmp_path, 6.0, 0.015)


@pytest.mark.skipif(not SKY130.exists(), reason=f"{SKY130.name} is not in ../shared/pdk")
def test_composed_as_flat_on_sky130(tmp_path: Path) -> None:
    with open_library(SKY130) as library:
        check(one_slab(), library, tmp_path, library.areas_um2["sky130_fd_sc_hd__dfxtp_1"], 0.01)


def test_instances_and_bits(mini: Library) -> None:
    area = measure(SMALL, mini)
    array = SMALL.array
    instances = {(each.module, each.part): each.instances for each in area.modules}
    assert instances["column", "cells"] == instances["seam", "seams"] == array.slabs * array.columns
    assert instances["slab", "skew"] == instances["slab", "control"] == array.slabs
    assert instances["_sequencer_0", "sequencers"] == instances["_sequencer_1", "sequencers"] == 1
    assert area.memory_bits == 8 * sum(SMALL.scratchpad_bytes.values())
    # Skewed: cell row r by r cycles; of the columns on a memory, number c by c cycles.
    moving = sum(range(array.cells)) * 8 * array.dot
    stationary = array.columns // SMALL.stationary_columns * sum(range(SMALL.stationary_columns)) * 8
    assert area.parts_um2["skew"] == 6.0 * array.slabs * (moving + stationary)
    assert area.logic_um2 == pytest.approx(sum(each.instances * each.um2 for each in area.modules))
    assert area.parts_um2.keys() == PARTS.keys()
    assert min(area.parts_um2.values()) > 0


def test_a_monolithic_seam_has_no_slab_above(mini: Library) -> None:
    seams = {}
    for config in (SMALL, one_slab()):
        area = arrays._measure(convert_one(Array(config)), mini, PARTS)
        seams[config.array.slabs] = next(each.um2 for each in area.modules if each.module == "seam")
    assert seams[1] < seams[2] - 32 * 2.0, "a gate and more a bit less"


def test_every_module_has_its_place() -> None:
    """What is neither a part, nor of a unit, nor a memory is inside one of them."""
    names = [name.removeprefix(f"{TOP}_") for name in MODULE.findall(convert_one(Engine(SMALL)).rtlil)]
    placed = "|".join([*PARTS.values(), *COMMON.values(), MEMORY])
    inside = {re.sub(r"_\d.*", "", name) for name in names if not re.fullmatch(placed, name)}
    assert inside <= {"cell", "dot", "difference", "adder_ripple", "adder_brent_kung", "fa", "ha", "hap", "aoi222"}


def test_textbook_engine() -> None:
    config = textbook(replace(SMALL, array=replace(SMALL.array, load_rows=2, multiply_stages=1)))
    assert (config.array.cell, config.array.slabs, config.array.rows, config.array.dot) == ("textbook", 1, 16, 1)
    assert config.array.macs == SMALL.array.macs
    assert config.scratchpad_bytes["stationary"] == 2 * SMALL.scratchpad_bytes["stationary"]
