"""Write docs/isa.md from rtl/cleave/engine/isa.py; `--check` only says whether the page is what it should be."""

import argparse
import ast
import enum
import inspect
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from cleave.config import BLOCK, PRESETS
from cleave.engine import isa
from cleave.engine.isa import (
    FIELDS,
    IDENTITY,
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    Control,
    Counter,
    Destination,
    Error,
    Interrupt,
    Opcode,
    Output,
    Register,
    Status,
    Unit,
    encode,
    slab_bit,
)
from cleave.numerics.formats import TARGETS

PAGE = Path(__file__).parents[1] / "docs" / "isa.md"

OPCODES = {
    Opcode.LOAD: "memory to moving banks, stationary banks or the drain's parameters, with element formats and block scales",
    Opcode.MATMUL: "passes on a partition: moving rows through stationary tiles into accumulators",
    Opcode.DRAIN: "accumulators, raw, requantised, rounded, or in blocks with shared scales, to memory or to moving banks",
}

REGISTERS = {
    Register.IDENTITY: ("read", f"`0x{IDENTITY:08X}`, the letters {IDENTITY.to_bytes(4, 'big').decode()}"),
    Register.CONTROL: ("write", "sets off what its bits say; reads as 0"),
    Register.STATUS: ("read", "bits below"),
    Register.ERROR: ("read", "code of the first error since START, below"),
    Register.ERROR_INSTRUCTION: ("read", "number of the failing instruction, from 0"),
    Register.INTERRUPT_ENABLE: ("programmed", "the interrupt line is high while a bit is set here and in INTERRUPT"),
    Register.INTERRUPT: ("read, write 1 to clear", "bits below"),
    Register.PROGRAM_LENGTH: ("programmed", "instructions in the program"),
    Register.PROGRAM_LOW: ("programmed", f"offset of the program in the window, a multiple of {INSTRUCTION_BYTES}"),
    Register.PROGRAM_HIGH: ("programmed", "16 bits"),
    Register.WINDOW_BASE_LOW: ("programmed", "bus address of the memory window"),
    Register.WINDOW_BASE_HIGH: ("programmed", "as many bits as the bus address has"),
    Register.WINDOW_SIZE_LOW: ("programmed", "bytes of the memory window"),
    Register.WINDOW_SIZE_HIGH: ("programmed", "16 bits"),
    Register.WATCHDOG: ("programmed", "cycles without a transfer that the bus may owe one; 0: any number"),
    Register.SHAPE: ("read", "bits 6:0 slabs, 7 columns have two lanes, 19:8 rows of a slab, 31:20 columns"),
    Register.COUNTERS: ("read", "first of the performance counters, in the order below"),
}

FLAGS: dict[type[enum.IntFlag], dict[enum.IntFlag, str]] = {
    Control: {
        Control.START: "run the program; clears the counters",
        Control.RESET: "stop, wait until the bus owes nothing, then clear everything but the programmed registers",
    },
    Status: {
        Status.BUSY: "a program runs, is being stopped, or is being reset",
        Status.DONE: "the last program ended, and all its effects are visible",
        Status.ERROR: "the last program stopped with an error; only RESET leaves this state",
        Status.RESETTING: "a RESET waits for the bus",
    },
    Interrupt: {
        Interrupt.DONE: "a program ended",
        Interrupt.ERROR: "a program stopped with an error",
    },
}

M, K, N = 3, 8, 4
MOVING, STATIONARY, RESULT, PROGRAM = 0x00, 0x40, 0x80, 0xC0
EXAMPLE: list[tuple[str, Opcode, dict[str, int]]] = [
    (
        "A into the moving banks: columns 0 to 3 to slab 0, 4 to 7 to slab 1",
        Opcode.LOAD,
        {"destination": Destination.MOVING, "slabs": 0b01, "rows": M, "row_bytes": K, "memory": MOVING, "stride": K},
    ),
    (
        "rows 0 to 3 of W into slab 0's stationary bank",
        Opcode.LOAD,
        {
            "destination": Destination.STATIONARY, "slabs": 0b01, "rows": K // 2, "row_bytes": N, "memory": STATIONARY,
            "stride": N,
        },
    ),
    (
        "rows 4 to 7 into slab 1's; a token to slab 0 for all LOADs",
        Opcode.LOAD,
        {
            "signal": slab_bit(0), "destination": Destination.STATIONARY, "slabs": 0b10, "rows": K // 2, "row_bytes": N,
            "memory": STATIONARY + K // 2 * N, "stride": N,
        },
    ),
    (
        "one pass on both slabs fused: the token is taken at slab 0, and one for DRAIN given at slab 1",
        Opcode.MATMUL,
        {
            "wait": 1 << Unit.LOAD, "signal": 1 << Unit.DRAIN, "first": 0, "count": 2, "rows": M, "passes": 1,
            "shift": PRESETS["tiny"].exact_shift, "row_macs": K * N, "last_row_macs": K * N,
        },
    ),
    (
        "the sums out of the last slab's accumulators, as int32",
        Opcode.DRAIN,
        {
            "wait": slab_bit(1), "output": Output.INT32, "slab": 1, "rows": M, "columns": N,
            "memory": RESULT, "stride": 4 * N,
        },
    ),
]  # fmt: skip
"""A x W on the `tiny` engine (2 slabs x 4 rows x 4 columns), both slabs fused: what it does, opcode, fields."""


def example_program() -> bytes:
    """Give the worked example as the engine fetches it."""
    return b"".join(encode(opcode, **values) for _, opcode, values in EXAMPLE)


def member_docs(kind: type[enum.Enum]) -> dict[str, str]:
    """Give the string that follows each member in the source."""
    classes = {node.name: node for node in ast.parse(inspect.getsource(isa)).body if isinstance(node, ast.ClassDef)}
    docs = {}
    for member, text in pairwise(classes[kind.__name__].body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(member.targets[0], ast.Name)
            docs[member.targets[0].id] = " ".join(str(text.value.value).split())
    return docs


def table(header: str, rows: Sequence[Sequence[object]]) -> str:
    """Format a Markdown table; `header` has its cells separated by bars."""
    columns = header.count("|") + 1
    lines = [f"| {header} |", "|" + "---|" * columns]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def fields(opcode: Opcode) -> str:
    """Table of an opcode's fields with their bits."""
    rows, position = [], 0
    for item in FIELDS[opcode]:
        end = position + item.width - 1
        rows.append((f"{end}:{position}" if item.width > 1 else position, item.width, f"`{item.name}`", item.doc))
        position += item.width
    if position < INSTRUCTION_BITS:
        rows.append((f"{INSTRUCTION_BITS - 1}:{position}", INSTRUCTION_BITS - position, "", "must be 0"))
    return table("bits | width | field | meaning", rows)


def values(kind: type[enum.IntEnum]) -> str:
    """Table of an enumeration."""
    docs = member_docs(kind)
    return table("value | name | meaning", [(m.value, m.name, docs.get(m.name, "")) for m in kind])


def flags(kind: type[enum.IntFlag]) -> str:
    """Table of a register's bits."""
    return table("bit | name | meaning", [(flag.value.bit_length() - 1, flag.name, FLAGS[kind][flag]) for flag in kind])


def targets() -> str:
    """Give the rows of a table of the drain's formats."""
    return "\n".join(f"| {number} | {target.name} |" for number, target in enumerate(TARGETS))


def counters() -> str:
    """Table of the performance counters with their offsets."""
    docs = member_docs(Counter)
    rows = [(f"`0x{Register.COUNTERS + 8 * c:02X}`", c.name, docs.get(c.name, "")) for c in Counter]
    return table("offset | name | counts", rows)


def example() -> str:
    """Worked example: each instruction's fields and bytes."""
    parts = []
    for number, (text, opcode, given) in enumerate(EXAMPLE):
        told = {name: f"{value:#x}" if name == "memory" else str(int(value)) for name, value in given.items()}
        names = ", ".join(f"{name} {value}" for name, value in told.items())
        code = encode(opcode, **given)
        lines = [f"       {code[start : start + 16].hex(' ')}" for start in range(0, INSTRUCTION_BYTES, 16)]
        parts.append("\n".join([f"{number}. **{opcode.name}** {names}: {text}.", "", *lines]))
    return "\n\n".join(parts)


def page() -> str:
    """Give the whole page."""
    tiny = PRESETS["tiny"].array
    assert (tiny.slabs, tiny.rows, tiny.columns) == (2, K // 2, N), "the worked example is made for another array"
    return f"""<!-- Written by scripts/isa_doc.py from rtl/cleave/engine/isa.py: change those, then run `make docs`. -->
# The instruction set

A program is an array of instructions of {INSTRUCTION_BITS} bits, {INSTRUCTION_BYTES} bytes each, little-endian, in
the memory window. The engine fetches it through the same AXI4 port as its data. All offsets in instructions are
bytes from the window's base, and every access is checked against the window's size before it is made.

{table("value | name | what it does", [(o.value, o.name, text) for o, text in OPCODES.items()])}

Every other opcode is illegal, 0 among them, so that cleared memory is no program.

## Tokens: what runs when

LOAD, DRAIN and each slab are *units*. A unit has a queue of its own and runs its instructions in order; between units
nothing is ordered, **except by tokens**. For every pair of units that can depend on each other the engine counts the
tokens that one has given and the other has not taken yet:

- An instruction starts when it can take one token from every unit in its `wait` mask, and takes them.
- When all its effects are visible, it gives one token to every unit in its `signal` mask.
- A MATMUL is an instruction of every slab of its partition. It takes its tokens at the first slab, where data
  enters, and gives them from the last one, where results leave.
- A program must also be valid when its instructions run one after the other as written: a token is given by an
  earlier instruction than the one that takes it.

Units complete in order, so one token after the last of several instructions stands for all of them. A token is
needed wherever an instruction reads what another unit wrote (LOAD before MATMUL, MATMUL before DRAIN, DRAIN to
moving banks before MATMUL), and wherever it overwrites what another unit still reads (MATMUL before the LOAD that
reuses its bank words, DRAIN before the MATMUL that reuses its accumulators). Slabs do not exchange tokens:
partitions that overlap follow each other in the queues of the slabs that they share.

{table("bit | unit", [(Unit.LOAD.value, "LOAD"), (Unit.DRAIN.value, "DRAIN"), (f"{Unit.SLAB.value} + s", "slab s")])}

## LOAD

Copies `rows` rows of `row_bytes` bytes, `stride` apart, from memory into banks. Each cycle it takes a bus beat, and writes as many
segments of a memory row, for slabs side by side, as fit a beat, at least one and at most those up to the next fold.

{fields(Opcode.LOAD)}

- **Moving**: one memory row is one row of A. Its bytes are cut into segments of one slab's `rows` bytes. Segment j of memory row
  r goes to the slabs in `slabs << (j mod fold)`, word `address + r + (j div fold) * step`. So one LOAD lays a long row across the
  slabs of a fused partition and, folded, one pass's words behind the other's; with several bits set in `slabs` the same row goes
  to several partitions.
- **Stationary**: memory rows are cut into segments of `columns` bytes, each of them one slab's part of a row of W. Segment j goes
  to the slabs in `slabs << (j mod fold)`; after `fold` segments, and with each memory row, comes the next row of W. Row q of W,
  counted from 0 through the instruction, goes to word `address + (q mod rows) div load_rows + (q div rows) * step`, part
  (q mod rows) mod `load_rows` of it, `rows` being the slab's: a bank word holds `load_rows` rows, a tile `rows / load_rows` words,
  and tiles follow each other `step` words apart. One LOAD fills the slabs of a partition if row q of each slab's tile stands side
  by side in memory.
- With `fold` 0 a memory row is never folded: j mod fold is j, j div fold 0. Segments of one fold must go to different slabs.
  Otherwise places may be written twice: memory rows are written one after the other, and in each its segments.
- **Parameters**: records of 8 bytes for DRAIN, one per column, of one of two kinds. To requantise: bias int32, multiplier uint16,
  shift uint16, of which only the lowest 6 bits count. To round: exponent int16, random uint8, anchor uint8 (of rows, for outputs in
  blocks), NaN uint8, of which only the lowest bit counts, and 3 bytes that are not used.
- **Row parameters**: records to round, one per row.

Only engines with `block_scales` have the rest:

- **Elements**: codes lie one to a byte, in its lowest bits, and are decoded on their way into the banks: INT8 to themselves, INT4,
  E2M1 and E2M3 to sixteen times their value, which is always an INT8 integer.
- **Moving scales**: one memory row is the row's anchor and then the scales of its segments, all of them E8M0 codes, one byte each;
  segment j's goes to the slabs in `slabs << j`. Kept is the distance, anchor - scale.
- **Stationary scales**: the first memory row is the columns' anchors, row 1 + j the scales of the tile j slabs further south, one
  byte per column. The distances, one bank word, belong behind the last word of their tile.

A scale above its anchor is the error SCALE, and so is a NaN, code 255, under any anchor but NaN.

## MATMUL

Runs `passes` passes on the slabs `first` to `first + count - 1` fused into one array. A pass streams `rows` moving
rows through one stationary tile and writes or adds its sums to `rows` rows of accumulators *in the partition's last
slab*:

    accumulator[m, n] = (accumulate ? accumulator[m, n] : 0) + sum over k of moving[m, k] * stationary[k, n]

Sums wrap at the width of an accumulator. A pass takes max(M, rows / load_rows) cycles, and passes follow each other without a
pause.

In engines with `block_scales`, accumulators have `accumulator_bits` bits, and each slab's dot product stands at their top, its
lowest bit above accumulator_bits - product_bits zeros, and is shifted right by `shift`. `scaled` passes shift it further, by the
distances of the slab's moving row and stationary column. What falls out at the bottom is dropped, towards minus infinity, before
anything is added. `shift` = accumulator_bits - product_bits gives the sum above. A scaled tile has a word more, so that a pass
takes max(M, rows / load_rows + 1) cycles. In other engines `scaled` and `shift` must be 0.

In arrays whose columns have two **lanes** (`stationary_bits` = 4), `pairs` says that each byte of a stationary tile is two elements
of 4 bits, and a column gives two sums, one for each half of its bytes, in the same cycles:

    accumulator[lane][m, n] = ... + sum over k of moving[m, k] * element(half `lane` of stationary[k, n])

An element is INT4, or twice an E2M1; with `block_scales` either is multiplied by 16 besides. Each lane has accumulators of its own,
at the same addresses, and a scaled tile a word of distances for each lane, lane 0's first: a pass takes
max(M, rows / load_rows + 2) cycles. A pass without `pairs` uses lane 0's accumulators only. LOAD writes pairs as it writes INT8.
In other arrays `pairs`, and `lane` of a DRAIN, must be 0.

{fields(Opcode.MATMUL)}

## DRAIN

Reads `columns` columns of `rows` rows of one slab's accumulators and puts them to memory or into moving banks.

{fields(Opcode.DRAIN)}

{values(Output)}

Requantised outputs are

    saturate(round_to_nearest_even((accumulator + bias) * multiplier / 2**shift))

with the accumulator's lowest 32 bits, sum and product exact, one rounding, saturation to -128 ... 127, and with `relu` a product
below 0 replaced by 0. Rounded outputs are

    round_to_target(accumulator * 2**(row exponent + column exponent))

with one rounding, or NaN if one of the two records says so. Codes take 4 bytes in memory (FP32), 2 (BF16, FP16) or 1. Stochastic
rounding takes the exclusive or of the two records' random numbers. Modes, limits and special values are in
[numerics.md](numerics.md).

Outputs in blocks are the same values as elements under shared scales:

    round_to_element(accumulator * 2**(row exponent + column exponent) / scale of the block)

A block is {BLOCK} columns, from column 0 of the instruction on; the last one of a row is shorter where `columns` says so. A row in
memory is `columns` codes, one byte each, then the row's anchor, then a scale for each block, E8M0 codes: what LOAD takes as moving
elements and, with the same stride, as moving scales. So no scale is above the anchor, which the row's record gives; values that are
too large for their scale saturate, and anchors of 254 and 255 limit nothing. A block with a NaN has the scale NaN, whatever the
anchor, and codes of 0. The rules of scales are in [numerics.md](numerics.md#results-in-blocks).

| target | format |
|---|---|
{targets()}

## Registers

AXI4-Lite, 32 bits each; a pair `_LOW`, `_HIGH` is one value. A read outside the table, a write to a register that
is only read, a write to a programmed register while BUSY, and START in any state but idle or DONE answer SLVERR and
change nothing. Reading a counter's low half keeps its high half for the next read, so that the two belong together.

{table("offset | name | access | meaning", [(f"`0x{r.value:02X}`", r.name, *REGISTERS[r]) for r in Register])}

CONTROL:

{flags(Control)}

STATUS:

{flags(Status)}

INTERRUPT and INTERRUPT_ENABLE:

{flags(Interrupt)}

## Performance counters

64 bits each, cleared by START. From STREAMING on they count slab-cycles, and their sum is the number of slabs times
CYCLES.

{counters()}

## Errors

The first error stops the engine: no unit starts anything more, what was begun on the bus is finished, and ERROR and
ERROR_INSTRUCTION hold the code and the instruction. Tokens are taken before operands are checked, and checks are made by
the part they concern: an instruction that breaks several rules is reported with one of their codes. RESET recovers. Only
after WATCHDOG may the bus still owe answers: the engine must then be reset together with its bus.

{values(Error)}

## A worked example

The `tiny` engine ({tiny.slabs} slabs of {tiny.rows} x {tiny.columns} MACs) multiplies A, {M} x {K}, at offset
`{MOVING:#x}` by W, {K} x {N}, at `{STATIONARY:#x}`, and writes the int32 product to `{RESULT:#x}`.
K = {K} is both slabs' rows, so they are fused. The program stands at `{PROGRAM:#x}`; fields that are not named are 0.

{example()}
"""


def main() -> int:
    """Write or check the page; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        print("docs/isa.md is not what rtl/cleave/engine/isa.py says: run make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
