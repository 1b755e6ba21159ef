"""The bit-exact machine: field by field against the instruction set's words, and every error."""

from contextlib import nullcontext
from random import Random

import numpy as np
import pytest

from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.engine.isa import INSTRUCTION_BYTES, Destination, Error, Instruction, Opcode, Output, encode, slab_bit
from cleave.errors import EngineError
from cleave.model.check import check
from cleave.model.machine import Machine
from cleave.numerics.formats import E2M1, ELEMENTS
from cleave.numerics.requantise import RECORD
from tb.engine.load_reference import empty_banks, errors, lower_scales, random_any, random_legal, write
from tb.engine.read_memory import CONFIGS

CONFIG = EngineConfig(
    ArrayConfig(slabs=3, rows=4, columns=6, dot=2, load_rows=2), moving_depth=16, stationary_depth=8,
    accumulator_depth=8, parameter_depth=4, axi_data_width=64, token_bits=2,
)  # fmt: skip
PROGRAM = 4096
WINDOW = 8192
RISING, NONE = 3000, 3010
"""Where in memory scales rise, and where there are zeros."""


def machine() -> Machine:
    random = np.random.default_rng(5)
    built = Machine(CONFIG, random.integers(0, 256, WINDOW, np.uint8))
    for bank in (built.moving, built.stationary, built.accumulators):
        bank[:] = random.integers(-128, 128, bank.shape, np.int8)
    built.memory[RISING : RISING + 3], built.memory[NONE : NONE + 2] = (7, 7, 8), 0
    return built


def run(built: Machine, *program: tuple[Opcode, dict[str, int]]) -> None:
    code = b"".join(encode(opcode, **fields) for opcode, fields in program)
    built.memory[PROGRAM : PROGRAM + len(code)] = np.frombuffer(code, np.uint8)
    built.run(PROGRAM, len(program))


def load(destination: Destination = Destination.MOVING, /, **fields: int) -> tuple[Opcode, dict[str, int]]:
    slabs = {} if destination in (Destination.PARAMETERS, Destination.ROW_PARAMETERS) else {"slabs": 1}
    return Opcode.LOAD, {"destination": destination, "rows": 1, "row_bytes": 1, **slabs, **fields}


def matmul(**fields: int) -> tuple[Opcode, dict[str, int]]:
    return Opcode.MATMUL, {"count": 1, "rows": 1, "passes": 1, "shift": CONFIG.exact_shift, **fields}


def drain(output: Output = Output.INT32, /, **fields: int) -> tuple[Opcode, dict[str, int]]:
    place = {"memory": 1} if output == Output.MOVING else {}
    return Opcode.DRAIN, {"output": output, "rows": 1, "columns": 1, **place, **fields}


def test_load_moving() -> None:
    built = machine()
    before = built.moving.copy()
    run(built, load(slabs=0b001, address=3, rows=2, row_bytes=9, memory=100, stride=50))
    for row in range(2):
        data = np.append(built.memory[100 + 50 * row : 109 + 50 * row].view(np.int8), [0, 0, 0]).reshape(3, 4)
        for slab in range(3):
            np.testing.assert_array_equal(built.moving[slab, 3 + row], data[slab])
    rest = [*range(3), *range(5, 16)]
    np.testing.assert_array_equal(built.moving[:, rest], before[:, rest])


def test_load_stationary() -> None:
    """Two tiles side by side, the second with shorter rows; then the first rows of the next two tiles, further on."""
    built = machine()
    before = built.stationary.copy()
    run(built, load(Destination.STATIONARY, slabs=0b010, address=1, step=4, rows=7, row_bytes=11, memory=200, stride=11))
    data = built.memory[200:277].view(np.int8).reshape(7, 11)
    for row in range(7):
        word, part = 1 + 4 * (row // 4) + row % 4 // 2, row % 2
        np.testing.assert_array_equal(built.stationary[1, word, part], data[row, :6])
        np.testing.assert_array_equal(built.stationary[2, word, part], [*data[row, 6:], 0])
    np.testing.assert_array_equal(built.stationary[1:, 6, 1], before[1:, 6, 1])  # the row that was not loaded
    np.testing.assert_array_equal(built.stationary[:, [0, 3, 4, 7]], before[:, [0, 3, 4, 7]])
    np.testing.assert_array_equal(built.stationary[0], before[0])


@pytest.mark.parametrize("name", CONFIGS)
def test_loads_as_the_instruction_set_says(name: str, seed: int) -> None:
    """Random instructions of all kinds, folds and steps, which may write a place more than once, against a row by row reference."""
    config, rng = CONFIGS[name], Random(seed)
    for _ in range(150):
        fields = random_legal(config, rng, WINDOW // 2)
        built = Machine(config, np.frombuffer(bytearray(lower_scales([fields], rng.randbytes(WINDOW))), np.uint8))
        banks = {
            "moving": built.moving, "stationary": built.stationary, "distances": built.distances,
            "parameters": built.parameters, "row_parameters": built.row_parameters,
        }  # fmt: skip
        for bank in banks.values():
            bank.view(np.uint8)[:] = 0xEE
        expected = empty_banks(config)
        write(config, expected, fields, built.memory.tobytes())
        run(built, (Opcode.LOAD, fields | {"signal": 0}))
        for kind, bank in banks.items():
            assert (bank.view(np.uint8).reshape(-1) == expected[kind].reshape(-1)).all(), (kind, fields)


@pytest.mark.parametrize("name", CONFIGS)
def test_refuses_what_the_instruction_set_says(name: str, seed: int) -> None:
    config, rng = CONFIGS[name], Random(seed)
    refused = set()
    for _ in range(500):
        fields = random_any(config, rng, WINDOW) | {"signal": 0}
        wanted = errors(config, fields, 0, WINDOW)
        with pytest.raises(EngineError) if wanted else nullcontext() as caught:
            check(Instruction(Opcode.LOAD, {"wait": 0, **fields}), config, index=0, window=WINDOW)
        if caught is not None:
            assert caught.value.code in wanted, (fields, str(caught.value))
            refused.add(caught.value.code)
    assert {ILLEGAL, RANGE} <= refused


def test_load_broadcasts() -> None:
    built = machine()
    stationary = load(Destination.STATIONARY, slabs=0b111, rows=4, row_bytes=6, stride=6)
    run(built, load(slabs=0b101, rows=2, row_bytes=4, stride=4), stationary)
    np.testing.assert_array_equal(built.moving[0, :2], built.moving[2, :2])
    np.testing.assert_array_equal(built.stationary[0, :2], built.stationary[1, :2])


def test_load_parameters() -> None:
    built = machine()
    run(built, load(Destination.PARAMETERS, rows=2, row_bytes=20, memory=64, stride=32))
    for row in range(2):  # 20 bytes are two words of two records each, the last 12 bytes zero
        data = np.append(built.memory[64 + 32 * row : 84 + 32 * row], np.zeros(12, np.uint8))
        np.testing.assert_array_equal(built.parameters[4 * row : 4 * row + 4], data.view(RECORD))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("rest", [0, 1])
def test_matmul(first: int, rest: int) -> None:
    built = machine()
    expected = built.accumulators.astype(np.int64)
    run(built, matmul(
        first=1, count=2, rows=3, passes=3, moving=2, moving_step=3, stationary=2, stationary_step=1, accumulator=1,
        accumulator_step=2, accumulate_first=first, accumulate_rest=rest, row_macs=7, last_row_macs=5,
    ))  # fmt: skip
    for number in range(3):
        total = np.zeros((3, 6), np.int64)
        for slab in (1, 2):
            tile = built.stationary[slab, 2 + number : 4 + number].reshape(4, 6).astype(np.int64)
            total += built.moving[slab, 2 + 3 * number : 5 + 3 * number].astype(np.int64) @ tile
        rows = slice(1 + 2 * number, 4 + 2 * number)
        expected[2, 0, rows] = total + (expected[2, 0, rows] if (rest if number else first) else 0)
    np.testing.assert_array_equal(built.accumulators, expected)
    assert built.useful_macs == 3 * (2 * 7 + 5)


def test_accumulators_wrap() -> None:
    built = machine()
    built.moving[0, 0], built.stationary[0, :2] = -128, -128
    built.accumulators[0, 0, 0] = 2**47 - 1
    run(built, matmul(accumulate_first=1))
    assert (built.accumulators[0, 0, 0] == 2**16 - 1 - 2**47).all()


def test_scaled_passes() -> None:
    """Each slab's dot product is shifted by itself, from the top of the accumulator, and rounded down."""
    built = machine()
    built.distances[:] = np.random.default_rng(6).integers(0, 30, built.distances.shape)
    built.stationary[:, :, 0] %= 30  # whatever word a tile's distances are in
    run(built, matmul(
        first=1, count=2, rows=3, passes=2, moving=2, moving_step=3, stationary=1, stationary_step=3, scaled=1, shift=9,
    ))  # fmt: skip
    total = np.zeros((3, 6), object)
    for slab in (1, 2):  # the last pass, which overwrites the first's
        tile = built.stationary[slab, 4:6].reshape(4, 6).astype(object)
        down = 9 + built.distances[slab, 5:8].astype(object)[:, None] + built.stationary[slab, 6, 0].astype(object)
        total += built.moving[slab, 5:8].astype(object) @ tile * 2 ** (48 - CONFIG.array.sum_bits) // 2**down
    np.testing.assert_array_equal(built.accumulators[2, 0, :3].astype(object), total)


def test_load_scales() -> None:
    built = machine()
    built.memory[100:103], built.memory[110:113] = (200, 190, 255 - 55), (254, 254, 0)
    run(built, load(Destination.MOVING_SCALES, slabs=0b010, address=3, rows=2, row_bytes=3, memory=100, stride=10))
    assert built.distances[1:, 3:5].tolist() == [[10, 0], [0, 254]]
    built.memory[200:206], built.memory[206:212] = (9, 9, 9, 255, 1, 2), (0, 9, 8, 255, 1, 0)
    run(built, load(Destination.STATIONARY_SCALES, slabs=0b001, address=2, rows=2, row_bytes=6, memory=200, stride=6))
    assert built.stationary[0, 2, 0].tolist() == [9, 0, 1, 0, 0, 2]


def test_load_elements() -> None:
    built = machine()
    built.memory[100:104] = 0b1111, 0b0111, 0b1000, 0b0001
    for element, values in enumerate([(15, 7, 8, 1), (-16, 112, -128, 16), (-96, 96, 0, 8), (30, 14, 16, 2)]):
        run(built, load(row_bytes=4, memory=100, element=element))
        assert built.moving[0, 0].tolist() == list(values)


def test_drain_int32() -> None:
    built = machine()
    run(built, drain(slab=2, accumulator=3, rows=2, columns=5, memory=1001, stride=30))
    for row in range(2):
        stored = built.memory[1001 + 30 * row : 1021 + 30 * row].tobytes()
        assert stored == built.accumulators[2, 0, 3 + row, :5].astype("<i4").tobytes()


@pytest.mark.parametrize("relu", [0, 1])
def test_drain_int8(relu: int) -> None:
    built = machine()
    built.parameters[:] = np.zeros((), RECORD)
    used = built.parameters[2:8]
    used["multiplier"], used["shift"], used["bias"] = 3, 2, [0, 1, 2, 3, 4, 5]
    built.accumulators[1, 0, 2] = [-6, -1, 0, 3, 1000, -1000]
    run(built, drain(Output.INT8, slab=1, accumulator=2, columns=6, parameters=1, memory=900, relu=relu))
    # (accumulator + bias) * 3 / 4: -4.5, 0, 1.5, 4.5, 753, -746.25
    expected = [0, 0, 2, 4, 127, 0] if relu else [-4, 0, 2, 4, 127, -128]
    assert built.memory[900:906].view(np.int8).tolist() == expected


def test_drain_to_moving_banks() -> None:
    built = machine()
    built.parameters["bias"], built.parameters["multiplier"], built.parameters["shift"] = 0, 1, 0
    built.accumulators[0, 0, 1:3] = [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
    run(built, drain(Output.MOVING, slab=0, accumulator=1, rows=2, columns=5, memory=0b010 | 4 << 32))
    assert built.moving[1, 4:6].tolist() == [[1, 2, 3, 4], [7, 8, 9, 10]]
    assert built.moving[2, 4:6].tolist() == [[5, 0, 0, 0], [11, 0, 0, 0]]


@pytest.mark.parametrize(
    ("anchor", "scale_up", "codes", "scale"),
    [
        (254, 0, [2, 4, 13, 6, 6, 7], 127), (254, 1, [2, 4, 13, 6, 6, 7], 127), (126, 0, [4, 6, 15, 7, 7, 7], 126),
        (0, 1, [7, 7, 15, 7, 7, 7], 0),
    ],
)  # fmt: skip
def test_drain_blocks(anchor: int, scale_up: int, codes: list[int], scale: int) -> None:
    """1 to 6 in E2M1, under scales that the anchor limits: 5 is a tie, and 6 the largest."""
    built = machine()
    built.accumulators[1, 0, 2:4] = [[1, 2, -3, 4, 5, 6], [14, 0, 0, 0, 0, 0]]
    built.parameters[:] = np.zeros((), RECORD)
    built.row_parameters["exponent"], built.row_parameters["nan"], built.row_parameters["anchor"] = 0, 0, anchor
    built.row_parameters["nan"][6:8] = 2, 1
    fields = {"slab": 1, "columns": 6, "target": ELEMENTS.index(E2M1), "scale_up": scale_up, "stride": 10}
    run(built, drain(Output.BLOCKS, accumulator=2, row_parameters=2, memory=900, rows=1, **fields),
        drain(Output.BLOCKS, accumulator=2, rows=2, row_parameters=3, memory=910, **fields))  # fmt: skip
    assert built.memory[900:908].tolist() == [*codes, anchor, scale]
    assert built.memory[910:918].tolist() == [*codes, anchor, scale]
    assert built.memory[920:928].tolist() == [0] * 6 + [anchor, 255]


ILLEGAL, RANGE = Error.ILLEGAL_INSTRUCTION, Error.BANK_RANGE
BAD = {
    "load, destination": (load(Destination.MOVING, destination=6), ILLEGAL),
    "load, elements of parameters": (load(Destination.PARAMETERS, element=1), ILLEGAL),
    "load, a moving anchor alone": (load(Destination.MOVING_SCALES), ILLEGAL),
    "load, scales past the last slab": (load(Destination.MOVING_SCALES, row_bytes=5), ILLEGAL),
    "load, stationary anchors alone": (load(Destination.STATIONARY_SCALES), ILLEGAL),
    "load, distances": (load(Destination.MOVING_SCALES, row_bytes=2, address=16, memory=NONE), RANGE),
    "load, row parameters": (load(Destination.ROW_PARAMETERS, address=4), RANGE),
    "load, moving scale above its anchor": (load(Destination.MOVING_SCALES, row_bytes=3, memory=RISING), Error.SCALE),
    "load, stationary scale above its anchor": (
        load(Destination.STATIONARY_SCALES, rows=2, row_bytes=2, memory=RISING, stride=1), Error.SCALE,
    ),
    "load, no rows": (load(rows=0), ILLEGAL),
    "load, no bytes": (load(row_bytes=0), ILLEGAL),
    "load, long row of stationary scales": (load(Destination.STATIONARY_SCALES, rows=2, row_bytes=7), ILLEGAL),
    "load, fold of scales": (load(Destination.MOVING_SCALES, row_bytes=2, fold=1), ILLEGAL),
    "load, step of parameters": (load(Destination.PARAMETERS, step=1), ILLEGAL),
    "load, no slabs": (load(slabs=0), ILLEGAL),
    "load, slab that is not there": (load(slabs=0b1000), ILLEGAL),
    "load, parameters for slabs": (load(Destination.PARAMETERS, slabs=1), ILLEGAL),
    "load, segment past the last slab": (load(slabs=0b100, row_bytes=5), ILLEGAL),
    "load, two segments for a slab": (load(slabs=0b011, row_bytes=5), ILLEGAL),
    "load, stationary segment past the last slab": (load(Destination.STATIONARY, slabs=0b100, row_bytes=7), ILLEGAL),
    "load, fold past the last slab": (load(slabs=0b010, row_bytes=30, fold=3), ILLEGAL),
    "load, two segments of a fold for a slab": (load(Destination.STATIONARY, slabs=0b011, row_bytes=30, fold=2), ILLEGAL),
    "load, a fold past the moving bank": (load(row_bytes=5, fold=1, step=16), RANGE),
    "load, fold far past the moving bank": (load(row_bytes=21, fold=1, step=2**15 - 1), RANGE),
    "load, tile past the stationary bank": (load(Destination.STATIONARY, rows=5, step=8), RANGE),
    "load, folded rows past the stationary bank": (load(Destination.STATIONARY, address=7, row_bytes=13, fold=1), RANGE),
    "load, moving bank": (load(address=15, rows=2), RANGE),
    "load, stationary bank": (load(Destination.STATIONARY, address=7, rows=3), RANGE),
    "load, parameter memory": (load(Destination.PARAMETERS, address=3, row_bytes=17), RANGE),
    "load, window": (load(memory=WINDOW - 4, row_bytes=4, rows=2, stride=1), Error.WINDOW),
    "load, token from itself": (load(wait=1), ILLEGAL),
    "load, unit that is not there": (load(signal=slab_bit(3)), ILLEGAL),
    "matmul, no rows": (matmul(rows=0), ILLEGAL),
    "matmul, no passes": (matmul(passes=0), ILLEGAL),
    "matmul, pairs in one lane": (matmul(pairs=1), ILLEGAL),
    "matmul, no slabs": (matmul(count=0), ILLEGAL),
    "matmul, slabs that are not there": (matmul(first=2, count=2), ILLEGAL),
    "matmul, token for a slab": (matmul(signal=slab_bit(1)), ILLEGAL),
    "matmul, no room for scales": (matmul(stationary=6, scaled=1), RANGE),
    "matmul, moving bank": (matmul(moving=10, rows=4, passes=2, moving_step=3), RANGE),
    "matmul, stationary bank": (matmul(stationary=1, passes=4, stationary_step=2), RANGE),
    "matmul, accumulator bank": (matmul(accumulator=7, rows=2), RANGE),
    "drain, output": (drain(Output.INT32, output=5), ILLEGAL),
    "drain, target": (drain(Output.ROUNDED, target=9), ILLEGAL),
    "drain, int8 with a target": (drain(Output.INT8, target=1), ILLEGAL),
    "drain, int8 that saturates": (drain(Output.INT8, saturate=1), ILLEGAL),
    "drain, rounded with a rule of scales": (drain(Output.ROUNDED, scale_up=1), ILLEGAL),
    "drain, blocks of no elements": (drain(Output.BLOCKS, target=4), ILLEGAL),
    "drain, blocks that saturate": (drain(Output.BLOCKS, saturate=1), ILLEGAL),
    "drain, blocks, row parameters": (drain(Output.BLOCKS, row_parameters=4), RANGE),
    "drain, blocks, window": (drain(Output.BLOCKS, memory=WINDOW - 7, columns=6), Error.WINDOW),
    "drain, row parameters": (drain(Output.ROUNDED, row_parameters=4), RANGE),
    "drain, slab": (drain(slab=3), ILLEGAL),
    "drain, lane that is not there": (drain(lane=1), ILLEGAL),
    "drain, no rows": (drain(rows=0), ILLEGAL),
    "drain, no columns": (drain(columns=0), ILLEGAL),
    "drain, columns that are not there": (drain(columns=7), ILLEGAL),
    "drain, int32 with relu": (drain(relu=1), ILLEGAL),
    "drain, int32 with parameters": (drain(parameters=1), ILLEGAL),
    "drain, moving with a stride": (drain(Output.MOVING, stride=1), ILLEGAL),
    "drain, moving without slabs": (drain(Output.MOVING, memory=0), ILLEGAL),
    "drain, moving, bits between": (drain(Output.MOVING, memory=1 | 1 << 30), ILLEGAL),
    "drain, moving, segment past the last slab": (drain(Output.MOVING, memory=0b100, columns=5), ILLEGAL),
    "drain, accumulator bank": (drain(accumulator=7, rows=2), RANGE),
    "drain, parameter memory": (drain(Output.INT8, parameters=3, columns=3), RANGE),
    "drain, moving bank": (drain(Output.MOVING, memory=1 | 16 << 32), RANGE),
    "drain, window": (drain(memory=WINDOW - 3), Error.WINDOW),
    "a token that is not given": (matmul(wait=1), Error.DEADLOCK),
}


@pytest.mark.parametrize("name", BAD)
def test_errors(name: str) -> None:
    instruction, code = BAD[name]
    with pytest.raises(EngineError) as caught:
        run(machine(), load(), instruction)
    assert (caught.value.code, caught.value.index) == (code, 1), str(caught.value)


@pytest.mark.parametrize("bad", [
    load(element=1), load(Destination.ROW_PARAMETERS), load(Destination.MOVING_SCALES, row_bytes=2), matmul(scaled=1, shift=0),
    matmul(shift=1), drain(Output.ROUNDED), drain(Output.BLOCKS), drain(saturate=1), drain(scale_up=1),
])  # fmt: skip
def test_an_engine_without_scales_refuses_them(bad: tuple[Opcode, dict[str, int]]) -> None:
    built = Machine(CONFIG.plain(), np.zeros(WINDOW, np.uint8))
    with pytest.raises(EngineError) as caught:
        run(built, bad)
    assert caught.value.code == ILLEGAL


def test_unknown_opcode_and_stray_bits() -> None:
    for code in (bytes(INSTRUCTION_BYTES), encode(*[load()[0]], **load()[1])[:-1] + b"\x80"):
        built = machine()
        built.memory[PROGRAM : PROGRAM + INSTRUCTION_BYTES] = np.frombuffer(code, np.uint8)
        with pytest.raises(EngineError) as caught:
            built.run(PROGRAM, 1)
        assert (caught.value.code, caught.value.index) == (ILLEGAL, 0)


def test_program_outside_the_window_or_unaligned() -> None:
    for offset, code, index in [(WINDOW - 64, Error.WINDOW, 2), (WINDOW, Error.WINDOW, 0), (8, ILLEGAL, 0)]:
        with pytest.raises(EngineError) as caught:
            machine().run(offset, 3)
        assert (caught.value.code, caught.value.index) == (code, index)


def test_tokens_are_counted() -> None:
    give, take = load(signal=slab_bit(0)), matmul(wait=1)
    run(machine(), give, give, give, take, take, take)
    with pytest.raises(EngineError) as caught:
        run(machine(), *[give] * 4)
    assert (caught.value.code, caught.value.index) == (Error.TOKEN_OVERFLOW, 3)
    with pytest.raises(EngineError) as caught:
        run(machine(), give, take, take)
    assert (caught.value.code, caught.value.index) == (Error.DEADLOCK, 2)


def test_every_preset_can_be_built() -> None:
    for config in PRESETS.values():
        assert Machine(config, np.zeros(1, np.uint8)).accumulators.shape == (
            config.array.slabs, config.array.lanes, config.accumulator_depth, config.array.columns,
        )  # fmt: skip
