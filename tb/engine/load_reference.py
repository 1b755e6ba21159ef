"""LOAD as the instruction set states it: which errors an instruction has, what it writes, and random instructions."""

from random import Random

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from cleave.config import EngineConfig
from cleave.engine.isa import Destination, Error
from cleave.engine.ports import chunk_bytes

Fields = dict[str, int]
Banks = dict[str, NDArray[np.uint8]]


def destinations(config: EngineConfig) -> list[Destination]:
    """Destinations that the engine has."""
    plain = [Destination.MOVING, Destination.STATIONARY, Destination.PARAMETERS]
    return list(Destination) if config.block_scales else plain


def empty_banks(config: EngineConfig) -> Banks:
    """Give banks of a byte that tells that a word was not written."""
    array = config.array
    return {
        "moving": np.full((array.slabs, config.moving_depth, array.rows), 0xEE, np.uint8),
        "stationary": np.full((array.slabs, config.stationary_depth, array.load_rows, array.columns), 0xEE, np.uint8),
        "parameters": np.full((config.parameter_depth, 8 * config.drain_lanes), 0xEE, np.uint8),
        "row_parameters": np.full((config.parameter_depth, 8 * config.drain_lanes), 0xEE, np.uint8),
        "distances": np.full((array.slabs, config.moving_depth), 0xEE, np.uint8),
    }


def depth(config: EngineConfig, destination: int) -> int:
    """Words of a destination's banks."""
    moving, stationary, parameters = config.moving_depth, config.stationary_depth, config.parameter_depth
    return (moving, stationary, parameters, parameters, moving, stationary)[destination]


def placed(config: EngineConfig, load: Fields) -> list[tuple[int, int, int, int, int]]:
    """Give memory row, segment, steps to the south, word and part of each segment of a LOAD of operands, in order."""
    array, places, q = config.array, [], 0
    stationary = load["destination"] == Destination.STATIONARY
    segments = -(-load["row_bytes"] // (array.columns if stationary else array.rows))
    for r in range(load["rows"]):
        for j in range(segments):
            turn, south = divmod(j, load["fold"]) if load["fold"] else (0, j)
            if stationary:
                q += j > 0 and south == 0
                k = q % array.rows
                word = load["address"] + k // array.load_rows + q // array.rows * load["step"]
                places.append((r, j, south, word, k % array.load_rows))
            else:
                places.append((r, j, south, load["address"] + r + turn * load["step"], 0))
        q += 1
    return places


def extent(config: EngineConfig, load: Fields) -> tuple[int, int]:
    """Give the words of a bank, and the steps to the south, that a legal destination's instruction uses."""
    rows, row_bytes = load["rows"], load["row_bytes"]
    match Destination(load["destination"]):
        case Destination.MOVING | Destination.STATIONARY:
            places = placed(config, load)
            return max(place[3] for place in places) + 1 - load["address"], max(place[2] for place in places) + 1
        case Destination.MOVING_SCALES:
            return rows, row_bytes - 1
        case Destination.STATIONARY_SCALES:
            return 1, rows - 1
        case _:
            return rows * -(-row_bytes // (8 * config.drain_lanes)), 1


def errors(config: EngineConfig, load: Fields, base: int, size: int) -> set[Error]:
    """All errors of an instruction but SCALE; the hardware reports one of them."""
    found = set()
    array, slabs, destination = config.array, load["slabs"], load["destination"]
    if destination not in destinations(config) or load["rows"] == 0 or load["row_bytes"] == 0:
        return {Error.ILLEGAL_INSTRUCTION}
    words, steps = extent(config, load)
    if steps == 0:
        return {Error.ILLEGAL_INSTRUCTION}
    operands = destination in (Destination.MOVING, Destination.STATIONARY)
    illegal = load["element"] and not (config.block_scales and operands)
    illegal |= bool(load["fold"] or load["step"]) and not operands
    if destination in (Destination.PARAMETERS, Destination.ROW_PARAMETERS):
        illegal |= slabs != 0
    else:
        named = [slabs << step for step in range(steps)]
        illegal |= slabs == 0 or named[-1] >> array.slabs or any(slabs & other for other in named[1:])
        illegal |= destination == Destination.STATIONARY_SCALES and load["row_bytes"] > array.columns
        illegal |= destination == Destination.MOVING_SCALES and load["row_bytes"] > 1 + array.slabs
    if illegal:
        found.add(Error.ILLEGAL_INSTRUCTION)
    if load["address"] + words > depth(config, destination):
        found.add(Error.BANK_RANGE)
    end = load["memory"] + (load["rows"] - 1) * load["stride"] + load["row_bytes"]
    if end > size or base + end > 1 << config.axi_address_width:
        found.add(Error.WINDOW)
    return found


def scale_places(load: Fields) -> list[list[tuple[int, int]]]:
    """Give, for each memory row, the offset of each of its scales, after that of its anchor."""
    starts = [load["memory"] + r * load["stride"] for r in range(load["rows"])]
    match load["destination"]:
        case Destination.MOVING_SCALES:
            return [[(start, start + i) for i in range(1, load["row_bytes"])] for start in starts]
        case Destination.STATIONARY_SCALES:
            return [[], *([(starts[0] + c, start + c) for c in range(load["row_bytes"])] for start in starts[1:])]
    return [[] for _ in starts]


def rows_below_anchors(load: Fields, window: bytes) -> int:
    """Give the memory rows before the first one that has a scale above its anchor; rows outside the window have none."""
    for r, places in enumerate(scale_places(load)):
        if any(scale < len(window) and window[scale] > window[anchor] for anchor, scale in places):
            return r
    return load["rows"]


def lower_scales(loads: list[Fields], window: bytes) -> bytes:
    """Lower scales in memory until none is above its anchor, whichever rows overlap."""
    lowered = bytearray(window)
    places = [place for load in loads for row in scale_places(load) for place in row]
    while above := [(anchor, scale) for anchor, scale in places if lowered[scale] > lowered[anchor]]:
        for anchor, scale in above:
            lowered[scale] &= lowered[anchor]
    return bytes(lowered)


def decode(codes: NDArray[np.uint8], element: int) -> NDArray[np.uint8]:
    """Decode elements, to two's complement."""
    values = (
        codes.view(np.int8),
        (codes & 0xF).view(ml_dtypes.int4).astype(np.float32) * 16,
        (codes & 0xF).view(ml_dtypes.float4_e2m1fn).astype(np.float32) * 16,
        (codes & 0x3F).view(ml_dtypes.float6_e2m3fn).astype(np.float32) * 16,
    )[element]
    return values.astype(np.int8).view(np.uint8)


def write(config: EngineConfig, banks: Banks, load: Fields, window: bytes) -> None:
    """Do a legal instruction."""
    array, address = config.array, load["address"]
    anchors = np.zeros(0, np.uint8)
    starts = [load["memory"] + r * load["stride"] for r in range(load["rows"])]
    rows = [np.frombuffer(window[start:start + load["row_bytes"]], np.uint8) for start in starts]
    if load["destination"] in (Destination.MOVING, Destination.STATIONARY):
        stationary = load["destination"] == Destination.STATIONARY
        for r, j, south, word, part in placed(config, load):
            width = array.columns if stationary else array.rows
            segment = _words(decode(rows[r], load["element"])[j * width:(j + 1) * width], width)
            for slab in _bits(load["slabs"] << south):
                if stationary:
                    banks["stationary"][slab, word, part] = segment
                else:
                    banks["moving"][slab, word] = segment
        return
    for r, row in enumerate(rows):
        match Destination(load["destination"]):
            case Destination.MOVING_SCALES:
                for j, distance in enumerate(row[0] - row[1:]):
                    for slab in _bits(load["slabs"] << j):
                        banks["distances"][slab, address + r] = distance
            case Destination.STATIONARY_SCALES if r == 0:
                anchors = row
            case Destination.STATIONARY_SCALES:
                for slab in _bits(load["slabs"] << r - 1):
                    banks["stationary"][slab, address, 0] = _words(anchors - row, array.columns)
            case parameters:
                words = _words(row, 8 * config.drain_lanes)
                banks[parameters.name.lower()][address + r * len(words):address + (r + 1) * len(words)] = words


def write_chunk(config: EngineConfig, banks: Banks, chunk) -> None:  # noqa: ANN001 - a chunk_layout constant
    """Write a chunk as `chunk_layout` states it."""
    array, address, destination = config.array, chunk["address"], chunk["destination"]
    content = np.frombuffer(chunk["data"].to_bytes(chunk_bytes(config), "little"), np.uint8)
    if destination in (Destination.PARAMETERS, Destination.ROW_PARAMETERS):
        assert not any(chunk["slabs"])
        banks[Destination(destination).name.lower()][address] = content[:8 * config.drain_lanes]
    elif destination in (Destination.STATIONARY, Destination.STATIONARY_SCALES):
        parts = _bits(chunk["parts"])
        assert len(parts) == 1 or not any(list(chunk["slabs"])[1:])
        for j, mask in enumerate(chunk["slabs"]):
            for slab in _bits(mask):
                for row, part in enumerate(parts, j):
                    banks["stationary"][slab, address, part] = content[row * array.columns:(row + 1) * array.columns]
    elif destination == Destination.MOVING_SCALES:
        for j, mask in enumerate(chunk["slabs"]):
            for slab in _bits(mask):
                banks["distances"][slab, address] = content[1 + j]
    else:
        for j, mask in enumerate(chunk["slabs"]):
            for slab in _bits(mask):
                banks["moving"][slab, address] = content[j * array.rows:(j + 1) * array.rows]


def random_legal(config: EngineConfig, rng: Random, size: int, largest: int = 12) -> Fields:
    """Give a random legal instruction with at most `largest` rows."""
    while True:
        load = random_any(config, rng, size, largest)
        if not errors(config, load, 0, size):
            return load


def random_any(config: EngineConfig, rng: Random, size: int, largest: int = 12) -> Fields:
    """Give a random instruction that may have any error, and often none."""
    array = config.array
    destination = rng.choice(destinations(config))
    row_bytes = rng.choice([
        rng.randint(1, array.columns), rng.randint(1, array.rows * array.slabs), rng.randint(1, 2 * array.rows),
        array.rows * rng.randint(1, array.slabs), 8 * rng.randint(1, 2 * config.drain_lanes),
    ])
    words = depth(config, destination)
    rows = rng.choice([rng.randint(1, largest), rng.randint(1, 2 * array.rows), array.rows])
    slabs = 1 << rng.randrange(array.slabs) | (rng.random() < 0.3) << rng.randrange(array.slabs)
    element = 0
    if rng.random() < 0.8:  # what is legal, as far as it is known so far
        match destination:
            case Destination.STATIONARY:
                row_bytes = rng.randint(1, 2 * max(array.slabs, array.load_rows) * array.columns)
            case Destination.STATIONARY_SCALES:
                row_bytes = rng.randint(1, array.columns)
            case Destination.PARAMETERS | Destination.ROW_PARAMETERS:
                slabs = 0
            case Destination.MOVING_SCALES:
                row_bytes = rng.randint(2, 1 + array.slabs)
        if destination == Destination.STATIONARY_SCALES:
            rows = rng.randint(2, 1 + array.slabs)
    if config.block_scales and (destination <= Destination.STATIONARY or rng.random() < 0.1):
        element = rng.randrange(4)
    fold = step = 0
    if destination <= Destination.STATIONARY or rng.random() < 0.05:
        fold = rng.choice([0, 1, rng.randint(1, array.slabs), rng.randrange(32)])
        step = rng.choice([0, rng.randrange(4), array.load_cycles, rng.randrange(max(1, words // 4)), rng.randrange(2**15)])
    stride = rng.choice([row_bytes, row_bytes, rng.randrange(200), 0])
    span = (rows - 1) * stride + row_bytes
    return {
        "destination": int(destination),
        "element": element,
        "slabs": slabs,
        "address": rng.choice([0, rng.randrange(words), words - 1 - rows]) & 0xFFFF,
        "rows": rows,
        "row_bytes": row_bytes,
        "memory": rng.randrange(max(1, size - span)) if rng.random() < 0.9 else max(0, size - span),
        "stride": stride,
        "fold": fold,
        "step": step,
        "signal": rng.getrandbits(32),
    }


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _words(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    return np.pad(row, (0, -len(row) % width)).reshape(-1, width)
