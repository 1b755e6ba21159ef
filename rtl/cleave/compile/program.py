"""A program under construction: instructions, and the tokens that order them.

The builder is told what an instruction comes `after`, and gives the tokens itself. Units complete in order, so
waiting for an instruction of a unit waits for all its earlier ones: per pair of units, a token is spent only on an
instruction that is newer than any already waited for. Every token given is taken, and the k-th taken is the k-th
given.
"""

from collections.abc import Iterable

import numpy as np

from ..engine.isa import FIELDS, INSTRUCTION_BITS, Destination, Opcode, Output, Unit

_WAIT, _SIGNAL = 1, 2


class Program:
    """A list of instructions; each method adds one and returns its number, for the `after` of later ones."""

    def __init__(self) -> None:
        self._rows: list[list[int]] = []
        self._givers: list[int] = []
        self._taken: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._rows)

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

    def encode(self) -> bytes:
        """Encode all instructions, 32 bytes each.

        Raises
        ------
        ValueError
            If a value does not fit its field.
        """
        words = np.zeros((len(self._rows), INSTRUCTION_BITS // 64), np.uint64)
        opcodes = np.array([row[0] for row in self._rows])
        for opcode, fields in FIELDS.items():
            chosen = np.flatnonzero(opcodes == opcode)
            values = np.array([self._rows[index] for index in chosen], np.int64).reshape(len(chosen), len(fields))
            part = np.zeros((len(chosen), words.shape[1]), np.uint64)
            position = 0
            for field, column in zip(fields, values.T, strict=True):
                if not ((column >= 0) & (column >> field.width == 0)).all():
                    raise ValueError(
                        f"{opcode.name} {field.name} must be 0 to {2**field.width - 1}, not {column.max()}"
                    )
                word, offset = divmod(position, 64)
                part[:, word] |= column.astype(np.uint64) << np.uint64(offset)
                if offset + field.width > 64:
                    part[:, word + 1] |= column.astype(np.uint64) >> np.uint64(64 - offset)
                position += field.width
            words[chosen] = part
        return words.astype("<u8").tobytes()
