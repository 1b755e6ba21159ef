"""The race checker finds each kind of planted fault, and nothing in a program that is in order."""

from itertools import product

import pytest

from cleave.compile.program import Program
from cleave.config import PRESETS
from cleave.engine.isa import INSTRUCTION_BYTES, Destination, Output, decode
from cleave.model.order import find

CONFIG = PRESETS["tiny"]
WINDOW = 4096


def kinds(program: Program) -> list[tuple[str, int]]:
    code = program.encode()
    instructions = [decode(code[i : i + INSTRUCTION_BYTES]) for i in range(0, len(code), INSTRUCTION_BYTES)]
    return [(finding.kind, finding.index) for finding in find(instructions, CONFIG, WINDOW)]


def load(program: Program, destination: Destination, after: list[int], **fields: int) -> int:
    slabs = 0 if destination == Destination.PARAMETERS else 1
    fields = {"slabs": slabs, "address": 0, "rows": 4, "row_bytes": 4, "memory": 0, "stride": 4, **fields}
    return program.load(destination, after=after, **fields)


def matmul(program: Program, after: list[int], *, first: int = 0, count: int = 1, accumulator: int = 0) -> int:
    return program.matmul(
        first, count, rows=4, passes=1, moving=0, moving_step=0, stationary=0, stationary_step=0,
        accumulator=accumulator, accumulate_first=False, row_macs=0, last_row_macs=0, after=after,
    )  # fmt: skip


def drain(
    program: Program, after: list[int], *, slab: int = 0, memory: int = 1024, output: Output = Output.INT32
) -> int:
    return program.drain(output, slab=slab, accumulator=0, rows=4, columns=4, memory=memory, stride=16, after=after)


@pytest.mark.parametrize("destination", [Destination.MOVING, Destination.STATIONARY])
@pytest.mark.parametrize("ordered", [True, False])
def test_load_then_matmul_then_load(destination: Destination, ordered: bool) -> None:
    program = Program()
    first = load(program, destination, [])
    second = matmul(program, [first] if ordered else [])
    load(program, destination, [second] if ordered else [])
    assert kinds(program) == ([] if ordered else [("race", 1), ("race", 2)])


@pytest.mark.parametrize("ordered", [True, False])
def test_matmul_then_drain_then_matmul(ordered: bool) -> None:
    program = Program()
    first = matmul(program, [], count=2)
    second = drain(program, [first] if ordered else [], slab=1)
    matmul(program, [second] if ordered else [], count=2)
    assert kinds(program) == ([] if ordered else [("race", 1), ("race", 2)])


@pytest.mark.parametrize("ordered", [True, False])
def test_parameters(ordered: bool) -> None:
    program = Program()
    first = load(program, Destination.PARAMETERS, [])
    second = drain(program, [first] if ordered else [], output=Output.INT8)
    load(program, Destination.PARAMETERS, [second] if ordered else [])
    assert kinds(program) == ([] if ordered else [("race", 1), ("race", 2)])


@pytest.mark.parametrize("ordered", [True, False])
def test_drain_to_memory_then_load(ordered: bool) -> None:
    program = Program()
    first = drain(program, [])
    load(program, Destination.MOVING, [first] if ordered else [], memory=1040)
    assert kinds(program) == ([] if ordered else [("race", 1)])


@pytest.mark.parametrize("ordered", [True, False])
def test_drain_to_moving_banks_then_matmul(ordered: bool) -> None:
    program = Program()
    to_slab_1 = 0b10
    first = program.drain(Output.MOVING, slab=0, accumulator=0, rows=4, columns=4, memory=to_slab_1, stride=0)
    matmul(program, [first] if ordered else [], first=1)
    assert kinds(program) == ([] if ordered else [("race", 1)])


def test_what_does_not_touch_is_no_race() -> None:
    program = Program()
    load(program, Destination.MOVING, [], slabs=0b10)
    load(program, Destination.MOVING, [], address=4)
    load(program, Destination.STATIONARY, [], address=4)
    matmul(program, [])
    drain(program, [], slab=1)
    assert kinds(program) == []


@pytest.mark.parametrize(
    ("destination", "fields", "written"),
    [
        (Destination.MOVING, {"rows": 1, "row_bytes": 15, "fold": 2, "step": 9, "address": 8}, [(0, 8), (1, 8), (0, 17), (1, 17)]),
        (Destination.MOVING, {"rows": 2, "row_bytes": 11, "fold": 2, "step": 2}, [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3)]),
        (Destination.STATIONARY, {"rows": 5, "row_bytes": 7, "step": 9, "address": 8},
         [(slab, word) for slab in (0, 1) for word in (8, 9, 10, 11, 17)]),
        (Destination.STATIONARY, {"rows": 3, "row_bytes": 12, "fold": 2, "step": 20},
         [*[(0, word) for word in (0, 1, 2, 3, 20, 21)], (1, 0), (1, 2), (1, 20)]),
    ],
)  # fmt: skip
def test_words_of_folds(destination: Destination, fields: dict[str, int], written: list[tuple[int, int]]) -> None:
    """Of all words, a MATMUL may only read those that a LOAD does not write."""
    raced = []
    moving = destination == Destination.MOVING
    for slab, word in product(range(2), range(32)):
        program = Program()
        load(program, destination, [], **fields)
        place = {"moving": word if moving else 63, "stationary": 63 - 3 if moving else word}
        program.matmul(
            slab, 1, rows=1, passes=1, moving_step=0, stationary_step=0, accumulator=0, accumulate_first=False, row_macs=0,
            last_row_macs=0, **place,
        )  # fmt: skip
        raced += [(slab, word)] * bool(kinds(program))
    words = 1 if moving else CONFIG.array.load_cycles  # that the MATMUL reads
    expected = {(slab, word - before) for slab, word in written for before in range(words) if word >= before}
    assert raced == sorted(expected)


def test_order_is_transitive_through_units() -> None:
    program = Program()
    first = load(program, Destination.MOVING, [], slabs=0b11)
    second = matmul(program, [first])
    third = matmul(program, [], first=0, count=2)  # behind the first in slab 0, so the load is complete
    drain(program, [third], slab=1)
    assert kinds(program) == []
    load(program, Destination.MOVING, [second])  # the fused MATMUL may still be reading slab 0
    assert kinds(program) == [("race", 4)]


def test_a_later_matmul_of_the_first_slab_does_not_complete_a_fused_one() -> None:
    program = Program()
    matmul(program, [], count=2)
    second = matmul(program, [], accumulator=8)
    drain(program, [second], slab=1)
    assert kinds(program) == [("race", 2)]


def edit(program: Program, index: int, name: str, value: int) -> list[tuple[str, int]]:
    code = program.encode()
    instructions = [decode(code[i : i + INSTRUCTION_BYTES]) for i in range(0, len(code), INSTRUCTION_BYTES)]
    instructions[index].values[name] = value
    return [(finding.kind, finding.index) for finding in find(instructions, CONFIG, WINDOW)]


def test_a_token_that_is_not_given_and_one_that_is_not_taken() -> None:
    program = Program()
    first = load(program, Destination.MOVING, [])
    matmul(program, [first])
    assert ("deadlock", 1) in edit(program, 0, "signal", 0)
    assert edit(program, 1, "wait", 0) == [("race", 1), ("left over", 0)]


@pytest.mark.parametrize("taken", [True, False])
def test_overflow(taken: bool) -> None:
    """2**token_bits - 1 tokens fit; one more only if the taker has surely taken one by then."""
    program = Program()
    limit = 2**CONFIG.token_bits - 1
    loads = [load(program, Destination.MOVING, [], slabs=0b10) for _ in range(limit)]
    for number in loads:
        last = matmul(program, [number])
    after = [last] if taken else []
    newest = load(program, Destination.MOVING, after, slabs=0b10)
    matmul(program, [newest])
    assert kinds(program) == ([] if taken else [("overflow", newest)])
