"""The bit heap: weighted bits in columns, whatever they come from, which one tree and one adder sum up."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice

from amaranth.hdl import Cat, Const, Value

from .adders import Adder
from .board import ONE, ZERO, Board
from .reduction import REDUCTIONS

__all__ = ["BitHeap", "Sum"]


class Sum(ABC):
    """A sum under construction: what products and numbers are added to, bit by bit."""

    @abstractmethod
    def add_constant(self, value: int) -> None:
        """Add a known number."""

    @abstractmethod
    def add_bit(self, weight: int, bit: Value) -> None:
        """Add bit * 2**weight."""

    @abstractmethod
    def subtract_bit(self, weight: int, bit: Value) -> None:
        """Add -bit * 2**weight."""

    def add_number(self, bits: Sequence[Value], weight: int = 0, *, is_signed: bool = False) -> None:
        """Add a number times 2**weight; a signed one's top bit counts as negative, instead of being repeated."""
        for position, bit in enumerate(bits, weight):
            if is_signed and position == weight + len(bits) - 1:
                self.subtract_bit(position, bit)
            else:
                self.add_bit(position, bit)


class BitHeap(Sum):
    """Bits of weights 2**0 to 2**(width - 1), whose sum modulo 2**width is wanted.

    Signs cost no bits: a bit of negative weight is added inverted, which is one too much, and all that is too much meets in
    one constant. Of the constant, only the ones become bits, and an adder with a constant input is a simpler one
    (`Board.add`). Source: F. de Dinechin et al., "Arithmetic core generation using bit heaps", 2013.

    N bits become W, one a column, by N - W - D full adders, where D are those removed in the top column, by an XOR each. Half
    adders leave the number of bits as it is: they only move bits, so the trees differ in their half adders and their delay.
    A one of the constant is a bit like others, but its adder is a half adder with a carry in (`HalfAdderPlus`), and in the
    top column it is an inverter.

    Parameters
    ----------
    width
        Columns; what overflows them is dropped.

    Attributes
    ----------
    columns
        Bits of each column, the earliest first.
    constant
        Known part of the sum, modulo 2**width.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.columns: list[list[Value]] = [[] for _ in range(width)]
        self.constant = 0

    @property
    def heights(self) -> list[int]:
        """Bits of each column, those of the constant among them."""
        return [len(column) + (self.constant >> weight & 1) for weight, column in enumerate(self.columns)]

    def add_constant(self, value: int) -> None:
        self.constant = (self.constant + value) % 2**self.width

    def add_bit(self, weight: int, bit: Value) -> None:
        if isinstance(bit, Const):
            self.add_constant(bit.value << weight)
        elif weight < self.width:
            self.columns[weight].append(bit)

    def subtract_bit(self, weight: int, bit: Value) -> None:
        """Add -bit * 2**weight, as its complement less one."""
        if weight < self.width - 1:
            self.add_bit(weight, ~bit)
            self.add_constant(-1 << weight)
        else:
            self.add_bit(weight, bit)  # where 1 and -1 are the same

    @property
    def minus(self) -> Sum:
        """The heap's other side: what is added there is subtracted here."""
        return _Minus(self)

    def compress(self, board: Board, level: list[tuple[int, int]]) -> None:
        """Apply one level of a plan."""
        columns = [[ONE] * (self.constant >> weight & 1) + column for weight, column in enumerate(self.columns)]
        taken = [3 * full + 2 * half for full, half in level]
        self.constant, self.columns = 0, [[] for _ in range(self.width)]
        for weight, (column, count) in enumerate(zip(columns, taken, strict=True)):
            for bit in column[count:]:
                self.add_bit(weight, bit)
        for weight, (column, (full, half)) in enumerate(zip(columns, level, strict=True)):
            bits = iter(column)
            for size in [3] * full + [2] * half:
                some = list(islice(bits, size))
                if weight == self.width - 1:
                    self.add_bit(weight, board.parity(*some))
                else:
                    total, carry = board.add(*some)
                    self.add_bit(weight, total)
                    self.add_bit(weight + 1, carry)

    def register(self, board: Board) -> None:
        """Hold all bits for a cycle."""
        self.columns = [[board.register(bit) for bit in column] for column in self.columns]

    def reduce(self, board: Board, reduction: str, *, registers: int = 0) -> None:
        """Compress until no column has more than two bits, by one of `REDUCTIONS`.

        Registers hold all bits after equal shares of the levels; the last one holds the two rows.
        """
        top = 1 << self.width - 1
        if self.constant & top and self.columns[-1]:
            self.constant -= top
            self.columns[-1][0] = ~self.columns[-1][0]
        plan = REDUCTIONS[reduction](self.heights)
        cuts = [-(-len(plan) * stage // registers) for stage in range(1, registers + 1)]
        for done in range(len(plan) + 1):
            for _ in range(cuts.count(done)):
                self.register(board)
            if done < len(plan):
                self.compress(board, plan[done])

    def rows(self) -> tuple[list[Value], list[Value]]:
        """Give the sum as two numbers of `width` bits.

        Raises
        ------
        ValueError
            If a column has more than two bits.
        """
        if max(self.heights) > 2:
            raise ValueError(f"a heap is at most 2 high when it is two numbers, not {max(self.heights)}")
        pairs = []
        for weight, column in enumerate(self.columns):
            bits = column + [ONE] * (self.constant >> weight & 1)
            pairs.append([*bits, ZERO, ZERO][:2])
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def total(self, board: Board, adder: str) -> list[Value]:
        """Add the two rows, from the lowest column that has two bits on, by one of `ADDERS`."""
        a, b = self.rows()
        low = next((weight for weight, bit in enumerate(b) if bit is not ZERO), self.width)
        if low == self.width:
            return a
        last = board.place(Adder(self.width - low, adder))
        board.connect((last.a, Cat(*a[low:])), (last.b, Cat(*b[low:])))
        return [*a[:low], *last.total]


class _Minus(Sum):
    def __init__(self, heap: BitHeap) -> None:
        self._heap = heap

    def add_constant(self, value: int) -> None:
        self._heap.add_constant(-value)

    def add_bit(self, weight: int, bit: Value) -> None:
        self._heap.subtract_bit(weight, bit)

    def subtract_bit(self, weight: int, bit: Value) -> None:
        self._heap.add_bit(weight, bit)
