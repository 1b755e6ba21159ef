"""Random legal programs of all instructions, for their time alone: their operands do not matter, and may be written meanwhile."""

from random import Random

from cleave.config import EngineConfig
from cleave.engine.isa import Destination, Opcode, Output, Unit, decode, encode
from cleave.errors import EngineError
from cleave.model.check import check
from cleave.numerics.formats import ELEMENTS, TARGETS


def random_program(config: EngineConfig, rng: Random, length: int, window: int) -> bytes:
    """Draw instructions that end: each token that one takes is given by an earlier one. Memory of zeros has legal scales."""
    units = Unit.SLAB + config.array.slabs
    there = {(giver, taker): 0 for giver in range(units) for taker in range(units)}  # tokens that nobody has taken
    program = b""
    weights = [rng.random() + 0.1 for _ in Opcode]
    for index in range(length):
        while True:
            opcode = rng.choices(list(Opcode), weights)[0]
            fields = {Opcode.LOAD: _load, Opcode.MATMUL: _matmul, Opcode.DRAIN: _drain}[opcode](config, rng, window)
            taker, giver = _units(opcode, fields)
            partners = _partners(opcode, config)
            wait = [unit for unit in partners if there[unit, taker] and rng.random() < 0.7]
            most = (1 << config.token_bits) - 1
            signal = [unit for unit in partners if there[giver, unit] < most and rng.random() < 0.3]
            fields |= {"wait": sum(1 << unit for unit in wait), "signal": sum(1 << unit for unit in signal)}
            code = encode(opcode, **fields)
            try:
                check(decode(code), config, index=index, window=window)
            except EngineError:
                continue
            break
        for unit in wait:
            there[unit, taker] -= 1
        for unit in signal:
            there[giver, unit] += 1
        program += code
    return program


def _units(opcode: Opcode, fields: dict[str, int]) -> tuple[int, int]:
    """Give the unit that takes an instruction's tokens, and the one that gives them."""
    if opcode == Opcode.MATMUL:
        return Unit.SLAB + fields["first"], Unit.SLAB + fields["first"] + fields["count"] - 1
    unit = Unit.LOAD if opcode == Opcode.LOAD else Unit.DRAIN
    return unit, unit


def _partners(opcode: Opcode, config: EngineConfig) -> list[int]:
    slabs = [Unit.SLAB + s for s in range(config.array.slabs)]
    return {Opcode.LOAD: [*slabs, Unit.DRAIN], Opcode.MATMUL: [Unit.LOAD, Unit.DRAIN], Opcode.DRAIN: [*slabs, Unit.LOAD]}[opcode]


def _few(rng: Random, most: int) -> int:
    """Draw from 1 to `most`, mostly little."""
    return rng.randint(1, max(1, min(most, rng.choice([1, 2, 4, 8, 30, most]))))


def _load(config: EngineConfig, rng: Random, window: int) -> dict[str, int]:
    array = config.array
    plain = [Destination.MOVING, Destination.STATIONARY, Destination.PARAMETERS]
    destinations = list(Destination) if config.block_scales else plain
    destination = rng.choice(destinations)
    words = {
        Destination.MOVING: (config.moving_depth, array.slabs * array.rows),
        Destination.STATIONARY: (config.stationary_depth, max(array.slabs, array.load_rows) * array.columns),
        Destination.MOVING_SCALES: (config.moving_depth, 1 + array.slabs),
        Destination.STATIONARY_SCALES: (1 + array.slabs, array.columns),
    }
    depth, row = words.get(destination, (config.parameter_depth, 8 * config.parameter_depth))
    no_slabs = destination in (Destination.PARAMETERS, Destination.ROW_PARAMETERS)
    operands = destination in (Destination.MOVING, Destination.STATIONARY)
    fold = rng.choice([0, 0, 1, rng.randint(1, array.slabs), rng.randrange(32)]) if operands else 0
    row *= rng.choice([1, 3, 8]) if fold else 1
    row_bytes = row if rng.random() < 0.4 else rng.randint(1, row)
    return {
        "destination": destination, "element": rng.randrange(len(ELEMENTS)) if operands and config.block_scales else 0,
        "slabs": 0 if no_slabs else 1 << rng.randrange(array.slabs) if rng.random() < 0.5 else rng.randrange(1, 1 << array.slabs),
        "address": rng.randrange(depth) if rng.random() < 0.5 else 0, "rows": _few(rng, depth), "row_bytes": row_bytes,
        "memory": rng.randrange(window // 2), "stride": rng.choice([row_bytes, 0, rng.randrange(300)]), "fold": fold,
        "step": rng.choice([0, rng.randrange(8), rng.randrange(depth)]) if operands else 0,
    }  # fmt: skip


def _matmul(config: EngineConfig, rng: Random, _window: int) -> dict[str, int]:
    array = config.array
    first = rng.randrange(array.slabs)
    return {
        "first": first, "count": rng.randint(1, array.slabs - first),
        "rows": _few(rng, min(config.moving_depth, config.accumulator_depth)), "passes": rng.choice([1, 1, 2, 3, 6]),
        "stationary_step": rng.choice([0, config.tile_words]), "moving_step": rng.randrange(3),
        "accumulator": rng.randrange(config.accumulator_depth) if rng.random() < 0.5 else rng.randrange(4),
        "accumulator_step": rng.choice([0, 0, 1, 2]), "accumulate_first": rng.randrange(2), "accumulate_rest": rng.randrange(2),
        "scaled": rng.randrange(2) if config.block_scales else 0, "pairs": rng.choice([0, 1, 2]) if array.lanes > 1 else 0,
        "row_macs": rng.randrange(1000), "last_row_macs": rng.randrange(1000),
    }  # fmt: skip


def _drain(config: EngineConfig, rng: Random, window: int) -> dict[str, int]:
    array = config.array
    output = rng.choice(list(Output) if config.block_scales else [Output.INT32, Output.INT8, Output.MOVING])
    columns = array.columns if rng.random() < 0.5 else rng.randint(1, array.columns)
    fields = {
        "output": output, "slab": rng.randrange(array.slabs), "lane": rng.randrange(array.lanes), "columns": columns,
        "accumulator": rng.randrange(config.accumulator_depth) if rng.random() < 0.5 else rng.randrange(4),
        "rows": _few(rng, config.accumulator_depth), "memory": rng.randrange(window // 2, window),
        "stride": rng.choice([columns, 4 * columns, 0, rng.randrange(300)]),
    }  # fmt: skip
    if output == Output.MOVING:
        slabs = 1 << rng.randrange(array.slabs) if rng.random() < 0.6 else rng.randrange(1, 1 << array.slabs)
        fields |= {"memory": slabs | rng.randrange(config.moving_depth) << 32, "stride": 0}
    if output >= Output.ROUNDED:
        fields["target"] = rng.randrange(len(ELEMENTS if output == Output.BLOCKS else TARGETS))
    return fields

