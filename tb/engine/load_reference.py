"""LOAD as the instruction set states it: which errors an instruction has, what it writes, and random instructions."""

from random import Random

import numpy as np
from numpy.typing import NDArray

from cleave.config import EngineConfig
from cleave.engine.isa import Destination, Error
from cleave.engine.ports import chunk_bytes

Fields = dict[str, int]
Banks = dict[str, NDArray[np.uint8]]


def empty_banks(config: EngineConfig) -> Banks:
    """Give banks of a byte that tells that a word was not written."""
    array = config.array
    return {
        "moving": np.full((array.slabs, config.moving_depth, array.rows), 0xEE, np.uint8),
        "stationary": np.full((array.slabs, config.stationary_depth, array.load_rows, array.columns), 0xEE, np.uint8),
        "parameters": np.full((config.parameter_depth, 8 * config.drain_lanes), 0xEE, np.uint8),
    }


def depth(config: EngineConfig, destination: int) -> int:
    """Words of a destination's banks."""
    return (config.moving_depth, config.stationary_depth, config.parameter_depth)[destination]


def extent(config: EngineConfig, load: Fields) -> tuple[int, int]:
    """Give the words of a bank, and the steps to the south, that a legal destination's instruction uses."""
    array, rows, row_bytes = config.array, load["rows"], load["row_bytes"]
    match Destination(load["destination"]):
        case Destination.MOVING:
            return rows, -(-row_bytes // array.rows)
        case Destination.STATIONARY:
            return -(-min(rows, array.rows) // array.load_rows), -(-rows // array.rows)
        case Destination.PARAMETERS:
            return rows * -(-row_bytes // (8 * config.drain_lanes)), 1


def errors(config: EngineConfig, load: Fields, base: int, size: int) -> set[Error]:
    """All errors of an instruction; the hardware reports one of them."""
    found = set()
    array, slabs, destination = config.array, load["slabs"], load["destination"]
    if destination == 3 or load["rows"] == 0 or load["row_bytes"] == 0:
        return {Error.ILLEGAL_INSTRUCTION}
    words, steps = extent(config, load)
    if destination == Destination.PARAMETERS:
        illegal = slabs != 0
    else:
        named = [slabs << step for step in range(steps)]
        illegal = slabs == 0 or named[-1] >> array.slabs or any(slabs & other for other in named[1:])
        illegal |= destination == Destination.STATIONARY and load["row_bytes"] > array.columns
    if illegal:
        found.add(Error.ILLEGAL_INSTRUCTION)
    if load["address"] + words > depth(config, destination):
        found.add(Error.BANK_RANGE)
    end = load["memory"] + (load["rows"] - 1) * load["stride"] + load["row_bytes"]
    if end > size or base + end > 1 << config.axi_address_width:
        found.add(Error.WINDOW)
    return found


def write(config: EngineConfig, banks: Banks, load: Fields, window: bytes) -> None:
    """Do a legal instruction."""
    array, address = config.array, load["address"]
    for r in range(load["rows"]):
        start = load["memory"] + r * load["stride"]
        row = np.frombuffer(window[start:start + load["row_bytes"]], np.uint8)
        if load["destination"] == Destination.PARAMETERS:
            words = _words(row, 8 * config.drain_lanes)
            banks["parameters"][address + r * len(words):address + (r + 1) * len(words)] = words
        elif load["destination"] == Destination.STATIONARY:
            block, k = divmod(r, array.rows)
            for slab in _slabs(load["slabs"] << block):
                place = slab, address + k // array.load_rows, k % array.load_rows
                banks["stationary"][place] = _words(row, array.columns)
        else:
            for j, word in enumerate(_words(row, array.rows)):
                for slab in _slabs(load["slabs"] << j):
                    banks["moving"][slab, address + r] = word


def write_chunk(config: EngineConfig, banks: Banks, chunk) -> None:  # noqa: ANN001 - a chunk_layout constant
    """Write a chunk as `chunk_layout` states it."""
    array, address, destination = config.array, chunk["address"], chunk["destination"]
    content = np.frombuffer(chunk["data"].to_bytes(chunk_bytes(config), "little"), np.uint8)
    if destination == Destination.PARAMETERS:
        assert not any(chunk["slabs"])
        banks["parameters"][address] = content[:8 * config.drain_lanes]
    elif destination == Destination.STATIONARY:
        assert not any(list(chunk["slabs"])[1:])
        for slab in _slabs(chunk["slabs"][0]):
            banks["stationary"][slab, address, chunk["part"]] = content[:array.columns]
    else:
        for j, mask in enumerate(chunk["slabs"]):
            for slab in _slabs(mask):
                banks["moving"][slab, address] = content[j * array.rows:(j + 1) * array.rows]


def random_legal(config: EngineConfig, rng: Random, size: int, largest: int = 12) -> Fields:
    """Give a random legal instruction with at most `largest` rows."""
    while True:
        destination = rng.choice(list(Destination))
        load = random_any(config, rng, size, largest) | {"destination": int(destination)}
        if destination == Destination.PARAMETERS:
            load["slabs"] = 0
        elif destination == Destination.STATIONARY:
            load["row_bytes"] = rng.randint(1, config.array.columns)
        if not errors(config, load, 0, size):
            return load


def random_any(config: EngineConfig, rng: Random, size: int, largest: int = 12) -> Fields:
    """Give a random instruction that may have any error, and often none."""
    array = config.array
    destination = rng.choice([0, 0, 1, 1, 2])
    row_bytes = rng.choice([
        rng.randint(1, array.columns), rng.randint(1, array.rows * array.slabs), rng.randint(1, 2 * array.rows),
        array.rows * rng.randint(1, array.slabs), 8 * rng.randint(1, 2 * config.drain_lanes),
    ])
    words = depth(config, destination)
    rows = rng.choice([rng.randint(1, largest), rng.randint(1, 2 * array.rows), array.rows])
    stride = rng.choice([row_bytes, row_bytes, rng.randrange(200), 0])
    span = (rows - 1) * stride + row_bytes
    return {
        "destination": destination,
        "slabs": 1 << rng.randrange(array.slabs) | (rng.random() < 0.3) << rng.randrange(array.slabs),
        "address": rng.choice([0, rng.randrange(words), words - 1 - rows]) & 0xFFFF,
        "rows": rows,
        "row_bytes": row_bytes,
        "memory": rng.randrange(max(1, size - span)) if rng.random() < 0.9 else max(0, size - span),
        "stride": stride,
        "signal": rng.getrandbits(32),
    }


def _slabs(mask: int) -> list[int]:
    return [slab for slab in range(mask.bit_length()) if mask >> slab & 1]


def _words(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    return np.pad(row, (0, -len(row) % width)).reshape(-1, width)
