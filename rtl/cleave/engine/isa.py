"""The instruction set: one table of fields that hardware, compiler, models and docs/isa.md all read.

An instruction is 256 bits, little-endian in memory. A program is executed as if one instruction after the other *only as
far as its tokens say so*: LOAD, DRAIN and each slab are units with queues of their own, each in order, and otherwise free
of each other. Every pair of units that can depend on each other has a counter of tokens between them. An instruction
first takes one token from every unit in `wait`, and gives one to every unit in `signal` when all its effects are visible.

A fused MATMUL takes its tokens at its first slab and gives them from its last, where the data enters and leaves. A
program must be valid in the order it is written: tokens are given by earlier instructions than those that take them.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

INSTRUCTION_BITS = 256
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8


class Opcode(enum.IntEnum):
    """What an instruction does. Zero is illegal, so that cleared memory is."""

    LOAD = 1
    MATMUL = 2
    DRAIN = 3


class Unit(enum.IntEnum):
    """Bit numbers in `wait` and `signal`; slab s is `SLAB + s`."""

    LOAD = 0
    DRAIN = 1
    SLAB = 2


class Destination(enum.IntEnum):
    """Memory that a LOAD writes."""

    MOVING = 0
    """Elements of A."""
    STATIONARY = 1
    """Elements of W."""
    PARAMETERS = 2
    """The drain's records, one per column."""
    ROW_PARAMETERS = 3
    """The drain's records, one per row."""
    MOVING_SCALES = 4
    """How far the scales of A's blocks are below their row's anchor."""
    STATIONARY_SCALES = 5
    """How far the scales of W's blocks are below their column's anchor."""


class Output(enum.IntEnum):
    """What a DRAIN makes of accumulators, and where it puts it."""

    INT32 = 0
    """Raw accumulators to memory."""
    INT8 = 1
    """Requantised to memory."""
    MOVING = 2
    """Requantised to moving banks, as a LOAD with destination MOVING would write them."""
    ROUNDED = 3
    """Multiplied by a power of two for each row and column, and rounded to a target format, to memory."""
    BLOCKS = 4
    """Likewise, to elements with a shared scale for each block of 32 columns, to memory."""


class Error(enum.IntEnum):
    """Code in the ERROR register; the first error stops the engine."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    """Unknown opcode, a bit set that the opcode has no field for, or a field outside its range."""
    BANK_RANGE = 2
    """A bank address outside the bank."""
    WINDOW = 3
    """A memory access outside the programmed window."""
    AXI_READ = 4
    """The bus answered a read with SLVERR or DECERR."""
    AXI_WRITE = 5
    """The bus answered a write with SLVERR or DECERR."""
    TOKEN_OVERFLOW = 6
    """More tokens between two units than their counter holds."""
    DEADLOCK = 7
    """Every unit waits for a token that nobody will give."""
    WATCHDOG = 8
    """The bus made no progress for the programmed number of cycles."""
    SCALE = 9
    """A block's scale is above its row's or column's anchor."""


class Field(NamedTuple):
    """One field of an instruction: its width in bits, and what it means."""

    name: str
    width: int
    doc: str


COMMON = (
    Field("opcode", 8, "1 LOAD, 2 MATMUL, 3 DRAIN"),
    Field("wait", 32, "units to take one token from before starting: bit 0 LOAD, 1 DRAIN, 2 + s slab s"),
    Field("signal", 32, "units to give one token to when complete, numbered alike"),
)

FIELDS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.LOAD: (
        *COMMON,
        Field("destination", 3, "0 moving banks, 1 stationary banks, 2 drain parameters of columns, 3 of rows, 4 scales of moving "
                                "rows, 5 scales of a stationary tile"),
        Field("element", 2, "format of moving and stationary elements, one in each byte: 0 INT8, 1 INT4, 2 E2M1, 3 E2M3; else 0"),
        Field("slabs", 30, "bit s: slab s takes a row's first segment, the next ones go to slabs further south (0 for parameters)"),
        Field("address", 16, "first word in the banks"),
        Field("rows", 16, "rows in memory, at least 1"),
        Field("row_bytes", 16, "bytes of each row, at least 1; the rest of its last word is written as zero"),
        Field("memory", 48, "byte offset of the first row in the memory window"),
        Field("stride", 32, "bytes from one row to the next"),
        Field("fold", 5, "moving, stationary: segments side by side in the slabs, before the first slab has the next; 0: all of a "
                         "memory row; else 0"),
        Field("step", 15, "moving: words from one fold to the next; stationary: from one tile to the next; else 0"),
    ),
    Opcode.MATMUL: (
        *COMMON,
        Field("first", 5, "first slab of the partition"),
        Field("count", 5, "slabs in the partition, at least 1"),
        Field("rows", 16, "moving rows M of each pass, at least 1"),
        Field("passes", 16, "passes, at least 1"),
        Field("moving", 15, "moving bank address of the first pass, the same in each slab"),
        Field("moving_step", 15, "added to it after each pass"),
        Field("stationary", 15, "stationary bank address of the first pass, the same in each slab"),
        Field("stationary_step", 15, "added to it after each pass"),
        Field("accumulator", 15, "accumulator row of the first pass, in the partition's last slab"),
        Field("accumulator_step", 15, "added to it after each pass"),
        Field("scaled", 1, "moving rows and stationary tiles have block scales; a tile has one more word for each lane then"),
        Field("shift", 7, "bits by which every dot product is shifted right from the top of the accumulators, besides its scales"),
        Field("accumulate_first", 1, "the first pass adds to its accumulators; 0 overwrites them"),
        Field("accumulate_rest", 1, "the passes after the first add to their accumulators; 0 overwrites them"),
        Field("row_macs", 20, "useful MACs per moving row in every pass but the last, for the performance counter"),
        Field("last_row_macs", 20, "useful MACs per moving row in the last pass"),
        Field("pairs", 2, "1, 2: each byte of the stationary tiles is two INT4, two E2M1, the lower half for lane 0; 0: one INT8, "
                          "or what LOAD made of another element"),
    ),
    Opcode.DRAIN: (
        *COMMON,
        Field("output", 3, "0 int32 to memory, 1 int8 to memory, 2 int8 to moving banks, 3 rounded to `target`, to memory, 4 in "
                           "blocks, to memory"),
        Field("relu", 1, "negative values become 0 before rounding (0 for int32)"),
        Field("slab", 5, "slab whose accumulators are drained"),
        Field("accumulator", 16, "first accumulator row"),
        Field("rows", 16, "accumulator rows, at least 1"),
        Field("columns", 16, "columns of each row that are drained, from column 0, at least 1"),
        Field("parameters", 16, "first word of the parameters of column 0 (0 for int32)"),
        Field("memory", 48, "memory outputs: byte offset of the first row in the window; moving: bits 0 to 29 `slabs` as in LOAD, "
                            "bits 32 to 47 the bank address"),
        Field("stride", 32, "memory outputs: bytes from one row to the next; moving: 0"),
        Field("row_parameters", 16, "rounded, blocks: first word of the parameters of row 0; else 0"),
        Field("target", 4, "rounded, blocks: number of the format, in blocks 0 to 3; else 0"),
        Field("mode", 2, "rounded, blocks: 0 nearest even, 1 toward zero, 2 nearest away, 3 stochastic; else 0"),
        Field("saturate", 1, "rounded: overflow gives the largest number instead of infinity or NaN; else 0"),
        Field("scale_up", 1, "blocks: scales by the rule UP instead of FLOOR; else 0"),
        Field("lane", 1, "lane whose accumulators are drained: 1 has those of the operands in the upper halves of bytes"),
    ),
}
"""Fields of each opcode, from bit 0 up."""

for _opcode, _fields in FIELDS.items():
    assert sum(item.width for item in _fields) <= INSTRUCTION_BITS, _opcode


class Register(enum.IntEnum):
    """Byte offsets of the AXI4-Lite registers; a pair `_LOW`, `_HIGH` is one 64-bit value."""

    IDENTITY = 0x00
    CONTROL = 0x04
    STATUS = 0x08
    ERROR = 0x0C
    ERROR_INSTRUCTION = 0x10
    INTERRUPT_ENABLE = 0x14
    INTERRUPT = 0x18
    PROGRAM_LENGTH = 0x1C
    PROGRAM_LOW = 0x20
    PROGRAM_HIGH = 0x24
    WINDOW_BASE_LOW = 0x28
    WINDOW_BASE_HIGH = 0x2C
    WINDOW_SIZE_LOW = 0x30
    WINDOW_SIZE_HIGH = 0x34
    WATCHDOG = 0x38
    SHAPE = 0x3C
    """Read only: slabs (7 bits), whether columns have two lanes (1 bit), rows (12 bits), columns (12 bits)."""
    COUNTERS = 0x80
    """First of the performance counters, 64 bits each, in the order of `Counter`."""


IDENTITY = 0x434C5631
"""Value of the IDENTITY register: "CLV1"."""


class Control(enum.IntFlag):
    """Bits that a write to CONTROL sets off."""

    START = 1
    RESET = 2
    """Soft reset: waits for outstanding bus transfers, then clears everything but the programmed registers."""


class Status(enum.IntFlag):
    """Bits of STATUS."""

    BUSY = 1
    DONE = 2
    ERROR = 4
    RESETTING = 8


class Interrupt(enum.IntFlag):
    """Bits of INTERRUPT and INTERRUPT_ENABLE; writing 1 to a bit of INTERRUPT clears it."""

    DONE = 1
    ERROR = 2


class Counter(enum.IntEnum):
    """Performance counters, cleared by START; all but the first five count slab-cycles and sum to slabs * CYCLES."""

    CYCLES = 0
    """Cycles from START to done or error."""
    ARRAY_CYCLES = 1
    """Cycles from the first pass's start to the last result's write."""
    USEFUL_MACS = 2
    """Moving rows times the `row_macs` that their instructions give them."""
    READ_BEATS = 3
    """Beats taken on the bus's R channel, instructions included."""
    WRITE_BEATS = 4
    """Beats given on its W channel."""
    STREAMING = 5
    """A moving row enters the slab."""
    STALL_PARTITION = 6
    """The next pass waits for the other slabs of its partition."""
    STALL_EMPTY = 7
    """No instruction in the slab's queue."""
    STALL_LOAD = 8
    """The next instruction waits for a token from LOAD."""
    STALL_DRAIN = 9
    """The next instruction waits for a token from DRAIN."""
    STALL_STATIONARY = 10
    """The next pass waits for its stationary tile to be written."""
    STALL_ACCUMULATOR = 11
    """The next pass waits for an accumulator that is still being written."""


def _places(fields: Sequence[Field]) -> dict[str, tuple[int, int]]:
    ends = accumulate((item.width for item in fields), initial=0)
    return {item.name: (position, item.width) for item, position in zip(fields, ends, strict=False)}


PLACES = {opcode: _places(fields) for opcode, fields in FIELDS.items()}
"""First bit and width of each field."""


def encode(opcode: Opcode, **values: int) -> bytes:
    """Encode one instruction; fields that are not given are 0.

    Raises
    ------
    ValueError
        If the opcode has no such field, or a value does not fit it.
    """
    word = 0
    left = {"opcode": int(opcode), **values}
    for name, (position, width) in PLACES[opcode].items():
        value = int(left.pop(name, 0))
        if not 0 <= value < 1 << width:
            raise ValueError(f"{opcode.name} {name} must be 0 to {(1 << width) - 1}, not {value}")
        word |= value << position
    if left:
        raise ValueError(f"{opcode.name} has no field {', '.join(left)}")
    return word.to_bytes(INSTRUCTION_BYTES, "little")


@dataclass(frozen=True)
class Instruction:
    """A decoded instruction: its opcode and its fields by name."""

    opcode: Opcode
    values: dict[str, int] = field(default_factory=dict)

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def encode(self) -> bytes:
        """Encode into the 32 bytes that the engine fetches."""
        return encode(self.opcode, **{key: value for key, value in self.values.items() if key != "opcode"})


def decode(data: bytes) -> Instruction:
    """Decode one instruction.

    Raises
    ------
    ValueError
        If the opcode is unknown, or a bit outside the opcode's fields is set.
    """
    word = int.from_bytes(data, "little")
    try:
        opcode = Opcode(word & 0xFF)
    except ValueError:
        raise ValueError(f"opcode must be one of {', '.join(f'{o.value} {o.name}' for o in Opcode)}, not {word & 0xFF}") from None
    values = {}
    for item in FIELDS[opcode]:
        values[item.name] = word & ((1 << item.width) - 1)
        word >>= item.width
    if word:
        raise ValueError(f"{opcode.name} has no field for the set bits 0x{word:x} at its end")
    return Instruction(opcode, values)


def slab_bit(slab: int) -> int:
    """Mask of one slab in `wait` and `signal`."""
    return 1 << (Unit.SLAB + slab)
