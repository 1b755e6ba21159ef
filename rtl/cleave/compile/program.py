"""A program under construction: instructions, and the tokens that order them.

The builder is told what an instruction comes `after`, and gives the tokens itself. Units complete in order, so
waiting for an instruction of a unit waits for all its earlier ones: per pair of units, a token is spent only on an
instruction that is newer than any already waited for. Every token given is taken, and the k-th taken is the k-th
given.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..engine.isa import FIELDS, INSTRUCTION_BITS, PLACES, Destination, Opcode, Output, Unit

_WAIT, _SIGNAL = 1, 2
_MEMORY = {opcode: list(places).index("memory") for opcode, places in PLACES.items() if "memory" in places}


class Program:
    """A list of instructions; each method adds one and returns its number, for the `after` of later ones."""

    def __init__(self) -> None:
        self._rows: list[list[int]] = []
        self._givers: list[int] = []
        self._taken: dict[tuple[int, int], int] = {}
        # Of a program with turns that are copies: the order of the rows, and by how much their places in memory are further on.
        self._order: NDArray[np.int64] | None = None
        self._moved: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def newest(self) -> dict[int, int]:
        """Give the number of the last instruction of each unit that has any; a MATMUL's is that of its last slab."""
        return {unit: number for number, unit in enumerate(self._givers)}

    def load(
        self,
        destination: Destination,
        *,
        slabs: int,
        address: int,
        rows: int,
        row_bytes: int,
        memory: int,
        stride: int,
        element: int = 0,
        fold: int = 0,
        step: int = 0,
        after: Iterable[int] = (),
    ) -> int:
        """Add a LOAD; `slabs` is a mask."""
        return self._add(
            [Opcode.LOAD, 0, 0, destination, element, slabs, address, rows, row_bytes, memory, stride, fold, step],
            Unit.LOAD,
            Unit.LOAD,
            after,
        )

    def matmul(
        self,
        first: int,
        count: int,
        *,
        rows: int,
        passes: int,
        moving: int,
        moving_step: int,
        stationary: int,
        stationary_step: int,
        accumulator: int,
        accumulate_first: bool,
        row_macs: int,
        last_row_macs: int,
        accumulate_rest: bool = True,
        scaled: bool = False,
        shift: int = 0,
        pairs: int = 0,
        after: Iterable[int] = (),
    ) -> int:
        """Add a MATMUL whose passes all use the same accumulator rows."""
        return self._add(
            [Opcode.MATMUL, 0, 0, first, count, rows, passes, moving, moving_step, stationary, stationary_step,
             accumulator, 0, scaled, shift, accumulate_first, accumulate_rest, row_macs, last_row_macs, pairs],
            Unit.SLAB + first, Unit.SLAB + first + count - 1, after,
        )  # fmt: skip

    def drain(
        self,
        output: Output,
        *,
        slab: int,
        accumulator: int,
        rows: int,
        columns: int,
        memory: int,
        stride: int,
        relu: bool = False,
        parameters: int = 0,
        row_parameters: int = 0,
        target: int = 0,
        mode: int = 0,
        saturate: bool = False,
        scale_up: bool = False,
        lane: int = 0,
        after: Iterable[int] = (),
    ) -> int:
        """Add a DRAIN."""
        return self._add(
            [Opcode.DRAIN, 0, 0, output, relu, slab, accumulator, rows, columns, parameters, memory, stride,
             row_parameters, target, mode, saturate, scale_up, lane],
            Unit.DRAIN, Unit.DRAIN, after,
        )  # fmt: skip

    def _add(self, row: list[int], taker: int, giver: int, after: Iterable[int]) -> int:
        newest: dict[int, int] = {}
        for producer in after:
            unit = self._givers[producer]
            if unit == taker:
                continue  # a unit is in order by itself
            if min(unit, taker) >= Unit.SLAB:
                raise ValueError(f"a MATMUL cannot wait for another slab's: slab {taker - Unit.SLAB} for {unit - Unit.SLAB}")
            newest[unit] = max(producer, newest.get(unit, 0))
        for unit, producer in newest.items():
            if producer > self._taken.get((unit, taker), -1):
                self._taken[unit, taker] = producer
                row[_WAIT] |= 1 << unit
                self._rows[producer][_SIGNAL] |= 1 << taker
        self._rows.append(row)
        self._givers.append(giver)
        return len(self._rows) - 1

    def turned(self, starts: Sequence[int], turns: Sequence[int], left_out: int) -> "Program | None":
        """Give the program of a whole loop from this one of its first three turns and its last, if turns are alike.

        Parameters
        ----------
        starts
            Where turns 1 to 4, of those that there are, start.
        turns
            The turn of each instruction's operands, of those of the whole loop.
        left_out
            How many there are between the third and the next.
        """
        sample = [np.arange(start, stop) for start, stop in pairwise(starts)]
        if len({len(numbers) for numbers in sample}) > 1:
            return None
        lines = [self._lines(numbers.tolist()) for numbers in sample]
        if any(line != lines[0] for line in lines):
            return None
        memory = [np.array([self._memory(number) for number in numbers.tolist()]) for numbers in sample]
        whole = np.array(turns)
        of, short = [whole[numbers] for numbers in sample], np.where(whole < len(sample), whole, whole - left_out)
        ahead = [short[numbers] - turn for turn, numbers in enumerate(sample, 1)]  # of the turn in which it is issued
        step, rest = np.divmod(memory[1] - memory[0], of[1] - of[0])
        alike = all((each == ahead[0]).all() for each in ahead) and not rest.any()
        early, late = whole[: starts[0]] < len(sample), whole[starts[-1] :] >= len(sample)
        if not (alike and early.all() and late.all() and (memory[2] - memory[1] == step * (of[2] - of[1])).all()):
            return None

        # The last turn of the sample before the gap, as often as there are turns; and what crosses the gap on either side.
        moved = np.zeros(len(self), np.int64)
        for turn, numbers in zip((1, 2, 3 + left_out), sample, strict=True):
            moved[numbers] = (turn + ahead[0] - whole[numbers]) * step
        again = moved[sample[1]] + np.outer(np.arange(1, left_out + 1), step)
        found = Program()
        found._rows, found._givers = self._rows, self._givers
        found._order = np.insert(np.arange(len(self)), starts[2], np.tile(sample[1], left_out))
        found._moved = np.insert(moved, starts[2], again.reshape(-1))
        return found

    def _memory(self, number: int) -> int:
        row = self._rows[number]
        return row[_MEMORY[Opcode(row[0])]] if row[0] in _MEMORY else 0

    def _lines(self, numbers: list[int]) -> list[list[int]]:
        """Give rows without their places in memory."""
        rows = [self._rows[number].copy() for number in numbers]
        for row in rows:
            if row[0] in _MEMORY:
                row[_MEMORY[Opcode(row[0])]] = 0
        return rows

    def columns(self) -> Iterator[tuple[Opcode, NDArray[np.int64], dict[str, NDArray[np.int64]]]]:
        """Give of each opcode the numbers of its instructions, and of each field its values in them."""
        rows: dict[Opcode, list[list[int]]] = {opcode: [] for opcode in FIELDS}
        place = np.zeros(len(self), np.int64)  # of each row, among those of its opcode
        for number, row in enumerate(self._rows):
            of_opcode = rows[Opcode(row[0])]
            place[number] = len(of_opcode)
            of_opcode.append(row)
        order = np.arange(len(self)) if self._order is None else self._order
        opcodes = np.array([row[0] for row in self._rows])[order] if self._rows else order
        for opcode, fields in FIELDS.items():
            numbers = np.flatnonzero(opcodes == opcode)
            values = np.array(rows[opcode], np.int64).reshape(-1, len(fields))[place[order[numbers]]]
            if self._moved is not None and opcode in _MEMORY:
                values[:, _MEMORY[opcode]] += self._moved[numbers]
            yield opcode, numbers, {field.name: column for field, column in zip(fields, values.T, strict=True)}

    def encode(self) -> bytes:
        """Encode all instructions, 32 bytes each.

        Raises
        ------
        ValueError
            If a value does not fit its field.
        """
        columns = list(self.columns())
        words = np.zeros((sum(len(numbers) for _, numbers, _ in columns), INSTRUCTION_BITS // 64), np.uint64)
        for opcode, numbers, values in columns:
            part = np.zeros((len(numbers), words.shape[1]), np.uint64)
            for name, (position, width) in PLACES[opcode].items():
                column = values[name]
                if not ((column >= 0) & (column >> width == 0)).all():
                    raise ValueError(f"{opcode.name} {name} must be 0 to {2**width - 1}, not {column.max()}")
                word, offset = divmod(position, 64)
                part[:, word] |= column.astype(np.uint64) << np.uint64(offset)
                if offset + width > 64:
                    part[:, word + 1] |= column.astype(np.uint64) >> np.uint64(64 - offset)
            words[numbers] = part
        return words.astype("<u8").tobytes()
