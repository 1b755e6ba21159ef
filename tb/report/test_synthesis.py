"""One component on a library: areas are sums of cells, delays those of the longest path, constants make hard cells go."""

import shutil
from pathlib import Path

import pytest
from amaranth.hdl import Const, Elaboratable, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cleave.array.cells import make_cell
from cleave.config import ArrayConfig
from cleave.gates.adders import Adder
from cleave.gates.board import FullAdder
from cleave.hdl import share
from cleave.report import tools
from cleave.report.blocks import BLOCKS, measure_block
from cleave.report.cells import CANDIDATES, Candidate, measure_cell
from cleave.report.liberty import Library, open_library
from cleave.report.synthesis import Recipe, area_of
from cleave.report.tile import Tile
from cleave.report.tools import SynthesisError
from tb.report.mini import FLIP_FLOP, GATES, liberty

STA = shutil.which("sta") is not None
RIPPLE = {"sky130_fd_sc_hd__fa_1": 6, "sky130_fd_sc_hd__ha_1": 1, "XOR2": 2}
"""Cells of an 8-bit ripple adder: full adders but for the first bit, and XOR at the top."""


def test_area_is_that_of_the_cells(mini: Library) -> None:
    measured = area_of(Adder(8, "ripple"), mini)
    assert measured.cells == RIPPLE
    assert measured.area_um2 == 6 * 7.0 + 4.0 + 2 * 3.0
    assert measured.delay_ns == (pytest.approx(0.9) if STA else None)  # 0.1 for each of a half adder, 6 full adders, 2 XOR


def test_without_hard_cells(mini: Library) -> None:
    cells = area_of(Adder(8, "ripple"), mini, Recipe(hard=False)).cells
    assert cells
    assert cells.keys() <= GATES.keys()


class TiedAdder(wiring.Component):
    """A full adder, one of whose inputs is constant."""

    a: In(1)
    b: In(1)
    total: Out(2)

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.adder = adder = share(platform, FullAdder())
        m.d.comb += [adder.a.eq(self.a), adder.b.eq(self.b), adder.c.eq(Const(0)), self.total[0].eq(adder.sum)]
        m.d.comb += self.total[1].eq(adder.carry)
        return m


def test_a_constant_input_is_no_full_adder(mini: Library) -> None:
    assert area_of(TiedAdder(), mini).area_um2 < 7.0


@pytest.mark.skipif(not STA, reason="OpenSTA (sta) is not installed")
def test_delay_between_registers(tmp_path: Path) -> None:
    cell = make_cell(ArrayConfig(rows=4, dot=1, cell="textbook"))
    delays = {}
    for unit in ("1ns", "1ps"):
        (tmp_path / unit).write_text(liberty(unit=unit))
        with open_library(tmp_path / unit) as library:
            delays[unit] = area_of(cell, library).delay_ns
    assert delays["1ps"] == pytest.approx(delays["1ns"] / 1000, abs=1e-6)
    steps = delays["1ns"] / 0.1 - 0.5  # clock to output and gates take 0.1 each, setup 0.05
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert steps > 10


def test_without_opensta(mini: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_sta", lambda: None)
    assert area_of(Adder(4, "ripple"), mini).delay_ns is None


def test_registers_of_a_cell(mini: Library) -> None:
    """8 activation, 2 * 8 stationary, 21 or 32 sum, 1 swap; every cell of a tile has its own."""
    found = {name: measure_cell(Candidate(name, ArrayConfig(rows=32, dot=1, cell=name)), mini) for name in ("gates", "textbook")}
    assert [found[name].registers_per_mac for name in ("gates", "textbook")] == [8 + 16 + 21 + 1 - 0.5, 8 + 16 + 32 + 1 - 0.5]
    gates = found["gates"]
    assert gates.full_adders_per_mac > 50
    assert gates.share_of_full_adders_and_registers is not None
    alone = 7.0 * gates.full_adders_per_mac + 6.0 * gates.registers_per_mac
    assert gates.share_of_full_adders_and_registers == pytest.approx(alone / gates.um2_per_mac)
    assert found["textbook"].share_of_full_adders_and_registers is None


def test_every_candidate_and_block_can_be_made() -> None:
    for candidate in CANDIDATES:
        assert len(Tile([candidate.make() for _ in range(4)]).from_west) == 2
    assert len({candidate.name for candidate in CANDIDATES}) == len(CANDIDATES)
    assert len({(block.does, block.how) for block in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("does", ["leading zeros of 32 bit", "comparison of 32 bit"])
def test_blocks(does: str, mini: Library) -> None:
    for block in BLOCKS:
        if block.does == does:
            assert measure_block(block, mini).area_um2 > 0


def test_a_library_that_lacks_gates(tmp_path: Path) -> None:
    (tmp_path / "bare.lib").write_text('library (bare) {\n  time_unit : "1ns";\n' + FLIP_FLOP.replace("DELAY", "") + "}\n")
    message = r"^yosys: Library with only 0 cell classes cannot be used\.$"
    with open_library(tmp_path / "bare.lib") as library, pytest.raises(SynthesisError, match=message):
        area_of(Adder(4, "ripple"), library)
