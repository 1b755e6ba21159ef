"""Cells that make more of 4-bit operands than of INT8, to choose among: what each costs, and what it gives.

All of them multiply INT8 operands, too, by `dot` pairs a cycle, and hold and pass on operands as a `GateCell` does. They differ in
where the two halves of an INT8 operand's product, or two products of 4-bit operands, meet: at the end of a column, or in the cell.
"""

# Ports are handed to `super().__init__`, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.hdl import Cat, Module, Signal, Value

from ..array.cell import Cell
from ..array.cell_gates import GateCell
from ..config import OPERAND_BITS, ArrayConfig, EngineConfig
from ..gates.board import Board
from ..gates.heap import BitHeap
from ..gates.products import baugh_wooley, paired
from .arrays import measure
from .cells import ROWS
from .liberty import Library
from .synthesis import area_of
from .tile import Tile

__all__ = ["Structure", "STRUCTURES", "TogetherArray", "TogetherCell", "NibbleCell", "measure_structure", "measure_lanes"]

NIBBLE = OPERAND_BITS // 2


class NarrowLanes(ArrayConfig):
    """Two lanes of INT4 operands alone: no nibble without sign, and so no INT8."""

    @property
    def lane_bits(self) -> int:
        """Width of a lane's signed operands."""
        return NIBBLE


class TogetherArray(ArrayConfig):
    """An array of `TogetherCell`, whose `dot` and `rows` count the two moving operands of each place."""

    @property
    def lane_bits(self) -> int:
        """Width of a stationary operand in a cell, from -15 to 15."""
        return NIBBLE + 1

    @property
    def sum_bits(self) -> int:
        """Width of a sum of INT8 products, of which there are half as many."""
        return 2 * OPERAND_BITS + (self.rows // 2 - 1).bit_length()


class ModeCell(GateCell, ABC):
    """A cell that knows, for what it holds, whether operands have 4 bits: the lowest bit of what is written says so."""

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        mode = Signal(reset_less=True)
        with m.If(self.write[0]):
            m.d.sync += mode.eq(self.stationary[0])
        board = Board(m, platform)
        heap = BitHeap(self.config.sum_bits)
        self.subtract(m, board, platform, heap, waiting, self.hold(m, mode))
        heap.add_number([*~self.from_north[0]])
        heap.reduce(board, self.style.reduction)
        complement = Signal.like(self.to_south[0], name="complement", reset_less=True)
        m.d.comb += self.to_south[0].eq(~complement)
        m.d.sync += complement.eq(Cat(*heap.total(board, self.style.adder)))

    @abstractmethod
    def subtract(self, m: Module, board: Board, platform: object, heap: BitHeap, waiting: Signal, narrow: Value) -> None:
        """Subtract the products from a heap; `narrow` says that operands have 4 bits."""

    def shifted(self, board: Board, heap: BitHeap, part: BitHeap, shift: int, narrow: Value) -> None:
        """Add `part` to the heap, `shift` bits further up if operands are not `narrow`."""
        part.reduce(board, self.style.reduction)
        for row in part.rows():
            up = [0] * shift + row
            for weight, (here, there) in enumerate(zip(row, up, strict=False)):
                bit = Value.cast(there) & ~narrow | Value.cast(here) & narrow
                heap.add_bit(weight, board.wire(bit, f"shifted_{weight}"))


class TogetherCell(ModeCell):
    """Two moving operands in each place, both multiplied by half a stationary one, in one sum.

    Of INT8, operand 2 * i and 2 * i + 1 are the same and their stationary ones its lower nibble without sign and its higher one, 16
    times which is added. Of 4-bit stationary operands, all are different: a pass contracts over twice as many, and takes twice
    as many bytes.
    """

    def subtract(self, m: Module, board: Board, platform: object, heap: BitHeap, waiting: Signal, narrow: Value) -> None:
        held = self.hold(m, waiting)
        high = BitHeap(self.config.sum_bits)
        width = NIBBLE + 2
        sums = [
            self._pair_sum(m, platform, waiting, (i, i + 2), width)
            for start in (0, 1) for i in range(start, self.config.dot - 2, 4)
        ]  # fmt: skip
        held_sums = self.hold(m, Cat(sums))
        number = 0
        for start, part in ((0, heap), (1, high)):
            for i in range(start, self.config.dot - 2, 4):
                a = [self.from_west.word_select(j, OPERAND_BITS).as_signed() for j in (i, i + 2)]
                b = [self.stationary_operand(held, j, 0).as_signed() for j in (i, i + 2)]
                paired(board, part.minus, (a[0], a[1]), (b[0], b[1]), held_sums.word_select(number, width).as_signed())
                number += 1
        self.shifted(board, heap, high, NIBBLE, narrow)

    def _pair_sum(self, m: Module, platform: object, operands: Signal, pair: tuple[int, int], width: int) -> Value:
        a, b = (self.stationary_operand(operands, j, 0).as_signed() for j in pair)
        return (a + b)[:width]


class NibbleCell(ModeCell):
    """Products of the nibbles of both operands, in one sum.

    Of INT8 they are four for each place, 1, 16, 16 and 256 times which are added. Of INT4 on both sides they are two, and a pass
    contracts over twice as many in the same bytes; the others are gated.
    """

    def subtract(self, m: Module, board: Board, platform: object, heap: BitHeap, waiting: Signal, narrow: Value) -> None:
        held = self.hold(m, waiting)
        high = BitHeap(self.config.sum_bits)
        for i in range(self.config.dot):
            a, b = self.from_west.word_select(i, OPERAND_BITS), held.word_select(i, OPERAND_BITS)
            halves = []
            for factor in (a, b):
                sign = board.wire(factor[NIBBLE - 1] & narrow, f"sign_{i}")
                halves.append((Cat(factor[:NIBBLE], sign).as_signed(), factor[NIBBLE:].as_signed()))
            (a_low, a_high), (b_low, b_high) = halves
            baugh_wooley(board, heap.minus, a_low, b_low)
            baugh_wooley(board, high.minus, a_high, b_high)
            for one, other in ((a_low[:NIBBLE], b_high), (b_low[:NIBBLE], a_high)):
                gated = board.wire(one & ~narrow.replicate(NIBBLE), f"gated_{i}")
                cross = BitHeap(self.config.sum_bits - NIBBLE)
                baugh_wooley(board, cross.minus, gated, other)
                heap.add_constant(cross.constant << NIBBLE)
                for weight, column in enumerate(cross.columns, NIBBLE):
                    for bit in column:
                        heap.add_bit(weight, bit)
        self.shifted(board, heap, high, 2 * NIBBLE, narrow)


@dataclass(frozen=True)
class Structure:
    """A kind of cell, and the products that a place of it adds a cycle, for each kind of operands.

    Attributes
    ----------
    name
        In tables.
    make
        Gives a cell.
    array
        Of the cells.
    places
        Moving bytes that a cell takes in a cycle of INT8.
    int8, w4a8, w4a4
        Products of a place, a cycle: of INT8; of INT8 by 4 bits; of 4 bits by 4.
    moving_bytes
        Bytes from the west for each place, a cycle, at most.
    """

    name: str
    make: Callable[[ArrayConfig], Cell]
    array: ArrayConfig
    places: int
    int8: int
    w4a8: int
    w4a4: int
    moving_bytes: int = 1


DOT = 8

_INT8 = ArrayConfig(rows=ROWS, dot=DOT, cell="gates")
_NARROW = NarrowLanes(rows=ROWS, dot=DOT, cell="gates", stationary_bits=NIBBLE)
_TOGETHER = TogetherArray(rows=2 * ROWS, dot=2 * DOT, cell="gates")

STRUCTURES = [
    Structure("INT8 alone", GateCell, _INT8, DOT, 1, 1, 1),
    Structure("two lanes, a sum each", GateCell, replace(_INT8, stationary_bits=NIBBLE), DOT, 1, 2, 2),
    Structure("two lanes of INT4 alone, a sum each", GateCell, _NARROW, DOT, 0, 2, 2),
    Structure("two moving operands, one sum", TogetherCell, _TOGETHER, DOT, 1, 2, 2, moving_bytes=2),
    Structure("nibbles of both, one sum", NibbleCell, _INT8, DOT, 1, 1, 2),
]
"""What was measured; the second is what an array with two lanes is made of."""


def measure_structure(structure: Structure, library: Library) -> dict[str, float | None]:
    """Measure a structure's cells, for each place of theirs."""
    measured = area_of(Tile([structure.make(structure.array) for _ in range(4)]), library)
    return {"um2_per_place": measured.area_um2 / (4 * structure.places), "delay_ns": measured.delay_ns}


def measure_lanes(config: EngineConfig, library: Library) -> dict[str, float]:
    """Measure an engine's array with two lanes in each column, by its parts."""
    lanes = replace(config, array=replace(config.array, stationary_bits=NIBBLE))
    parts = measure(lanes, library).parts_um2
    return {f"{part}_um2": um2 for part, um2 in parts.items()} | {"logic_um2": sum(parts.values())}
