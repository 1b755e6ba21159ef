"""The way to an ECP5: what a cell and an array are made of, and that they can be placed and routed."""

from pathlib import Path

import pytest

from cleave.array.cells import make_cell
from cleave.array.column import Column
from cleave.config import ArrayConfig
from cleave.export import convert
from cleave.fpga.flow import Device, place_and_route, synthesise
from cleave.report.tools import SynthesisError
from scripts.report_ecp5 import Grid, ecp5


def chains(*widths: int) -> int:
    """Count the CCU2C of adders of such widths: two bits each."""
    return sum(-(-width // 2) for width in widths)


@pytest.mark.parametrize(
    ("array", "carries"),
    [
        (ecp5(8, 8, 3), chains(19)),
        (ecp5(8, 8, 6, dot=4), chains(17, 17, 18, 19)),
        (ecp5(8, 8, 3, stationary_bits=4), chains(15, 1 + 15)),
        (ecp5(8, 8, 4, dot=2, stationary_bits=4), chains(13, 15, 1 + 13, 1 + 15)),
    ],
)
def test_a_cell_is_multipliers_carries_and_registers(array: ArrayConfig, carries: int, tmp_path: Path) -> None:
    """So nothing is spent on taking the two products of a multiplier apart."""
    counts = synthesise(convert(make_cell(array), "cell"), tmp_path)
    assert counts.keys() == {"MULT18X18D", "CCU2C", "TRELLIS_FF"}
    assert counts["MULT18X18D"] == array.dot
    assert counts["CCU2C"] == carries


def test_columns_share_no_register(tmp_path: Path) -> None:
    array = ecp5(4, 3, 3)
    column = synthesise(convert(Column(array), "top_column"), tmp_path)
    grid = synthesise(convert(Grid(array), "top"), tmp_path)
    skew = sum(8 * (row + 1) for row in range(array.rows))
    controls = 1 + 1 + 2
    unused = 8 * array.rows  # of the last column, to the east
    assert grid["MULT18X18D"] == array.rows * array.columns
    assert grid["TRELLIS_FF"] == array.columns * (column["TRELLIS_FF"] + controls + 8) + skew - unused


def test_place_and_route(tmp_path: Path) -> None:
    synthesise(convert(make_cell(ecp5(8, 8, 4)), "cell"), tmp_path)
    routed = place_and_route("cell", tmp_path, Device("25k", "CABGA256", 6), seed=1, target_mhz=285)
    assert 150 < routed.fmax_mhz < 600
    assert routed.logic_ns + routed.routing_ns == pytest.approx(1000 / routed.fmax_mhz, rel=0.01)
    with pytest.raises(SynthesisError, match=r"nextpnr: .*package"):
        place_and_route("cell", tmp_path, Device("25k", "nothing", 6), seed=1, target_mhz=285)
