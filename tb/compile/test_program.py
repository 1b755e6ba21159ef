"""The program builder: its encoding is that of the instruction set, its tokens are what `after` needs and no more."""

import pytest

from cleave.compile.program import Program
from cleave.engine.isa import INSTRUCTION_BYTES, Destination, Opcode, Output, decode, slab_bit


def load(program: Program, **changes: object) -> int:
    values = {"slabs": 1, "address": 2, "rows": 3, "row_bytes": 4, "memory": 2**48 - 1, "stride": 2**32 - 1, **changes}
    return program.load(Destination.STATIONARY, **values)


def matmul(program: Program, first: int, count: int, **changes: object) -> int:
    values = {
        "rows": 1, "passes": 2, "moving": 3, "moving_step": 4, "stationary": 5, "stationary_step": 6, "accumulator": 7,
        "accumulate_first": True, "row_macs": 8, "last_row_macs": 2**20 - 1, **changes,
    }  # fmt: skip
    return program.matmul(first, count, **values)


def drain(program: Program, slab: int, **changes: object) -> int:
    values = {"accumulator": 1, "rows": 2, "columns": 3, "memory": 2**40 + 5, "stride": 6, **changes}
    return program.drain(Output.INT8, slab=slab, relu=True, parameters=9, **values)


def decoded(program: Program) -> list:
    code = program.encode()
    return [decode(code[start : start + INSTRUCTION_BYTES]) for start in range(0, len(code), INSTRUCTION_BYTES)]


def test_encodes_like_the_table() -> None:
    program = Program()
    load(program)
    matmul(program, 1, 2)
    drain(program, 2)
    code = program.encode()
    for number, instruction in enumerate(decoded(program)):
        start = number * INSTRUCTION_BYTES
        assert instruction.encode() == code[start : start + INSTRUCTION_BYTES]
    first, second, third = decoded(program)
    assert (first.opcode, first.destination, first.memory, first.stride) == (Opcode.LOAD, 1, 2**48 - 1, 2**32 - 1)
    assert (second.first, second.count, second.accumulate_first, second.last_row_macs) == (1, 2, 1, 2**20 - 1)
    assert (third.slab, third.relu, third.parameters, third.memory) == (2, 1, 9, 2**40 + 5)


@pytest.mark.parametrize("value", [-1, 2**16])
def test_refuses_a_value_that_does_not_fit(value: int) -> None:
    program = Program()
    load(program, rows=value)
    with pytest.raises(ValueError, match=f"LOAD rows must be 0 to 65535, not {value}"):
        program.encode()


def test_a_fused_matmul_takes_at_its_first_slab_and_gives_from_its_last() -> None:
    program = Program()
    first = load(program)
    second = matmul(program, 1, 3, after=[first])
    drain(program, 3, after=[second])
    a, b, c = decoded(program)
    assert (a.signal, b.wait, b.signal, c.wait) == (slab_bit(1), 1 << 0, 1 << 1, slab_bit(3))


def test_a_token_is_spent_once() -> None:
    program = Program()
    loads = [load(program), load(program)]
    matmul(program, 0, 1, after=loads)  # the newest covers both
    matmul(program, 0, 1, after=loads[:1])  # and is known already
    matmul(program, 1, 1, after=loads[:1])  # but not to another slab
    signals = [instruction.signal for instruction in decoded(program)]
    waits = [instruction.wait for instruction in decoded(program)]
    assert signals[:2] == [slab_bit(1), slab_bit(0)]
    assert waits[2:] == [1, 0, 1]
