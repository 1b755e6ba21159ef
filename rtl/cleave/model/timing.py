"""The timing model: the cycle in which each instruction of a program begins and ends, and why the array waits, without its data.

It follows the engine's control register by register, but skips the cycles in which nothing can change, so that it is fast enough to
try thousands of mappings. With a memory of fixed latency and bandwidth it equals the hardware to the cycle
(`make verify-model`). The model is `timing.cpp`, compiled when it is first used; what it knows of a machine and of instructions
comes from the hardware's own tables.
"""

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..array.slab import flight
from ..config import ACCUMULATOR_BYTES, BLOCK, MEMORY_LATENCY, EngineConfig
from ..engine import axi_read, axi_write, drain_ledger, fetch, gearbox, load
from ..engine.accumulator_reader import reader_depth
from ..engine.bank_writer import WRITE_LATENCY
from ..engine.isa import INSTRUCTION_BYTES, PLACES, Counter, Destination, Error, Opcode, Output, Unit
from ..engine.load_chunks import chunk_limits
from ..engine.ports import READ_LATENCY, chunk_bytes
from ..engine.requantiser import RequantiserLane
from ..engine.sequencer import QUIET
from ..errors import EngineError
from ..numerics.formats import TARGETS
from ..numerics.normalise import Normaliser
from ..numerics.rounder import Packer
from ..sim.build import DRAM, compiled, cpp_header

SOURCE = Path(__file__).with_name("timing.cpp")

FOLLOWED = (
    "opcode", "wait", "signal", "first", "count", "rows", "passes", "accumulator", "accumulator_step", "scaled", "accumulate_first",
    "accumulate_rest", "row_macs", "last_row_macs", "pairs", "destination", "row_bytes", "memory", "stride", "fold", "output",
    "slab", "columns", "lane", "target",
)  # fmt: skip
"""Fields of instructions that their time depends on."""

DERIVED = ("size", "last_beat", "tail", "last_segment", "drained_bytes")
"""What follows from a DRAIN's fields, see `drain_layouts.job_layout`."""

INSTRUCTION = np.dtype([(name, np.int64) for name in (*FOLLOWED, *DERIVED)])
CAUSES = tuple(counter for counter in Counter if counter >= Counter.STALL_PARTITION)
RESULT = np.dtype([("start", np.int64), ("end", np.int64), ("stalls", np.int64, len(CAUSES))])
TOTAL = np.dtype([
    (name, np.int64) for name in ("cycles", "array_cycles", "useful_macs", "read_beats", "write_beats", "streaming")
] + [("stalls", np.int64, len(CAUSES))])  # fmt: skip
MEMORY = np.dtype([("base", np.int64), ("program", np.int64), ("latency", np.int64), ("bandwidth", np.float64)])


class DeadlockError(EngineError):
    """A program never ends, as an instruction waits for a token that nobody gives."""


@dataclass(frozen=True)
class Timing:
    """What a program takes.

    Attributes
    ----------
    counters
        The performance counters, as the engine has them after the program.
    start, end : NDArray[np.int64]
        Of each instruction: the cycle in which its unit takes it, for a MATMUL that of its first pass's load, and the one in which
        it gives its tokens. Cycle 0 is the first after START.
    stalls : NDArray[np.int64]
        [instruction, cause]: slab-cycles in which nothing streams while the instruction is at the head of a slab's queue, by
        `CAUSES`.
    """

    counters: dict[Counter, int]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    stalls: NDArray[np.int64]


Columns = Iterable[tuple[Opcode, NDArray[np.int64], Mapping[str, NDArray[Any]]]]
"""A program: of each opcode the numbers of its instructions, and of each field its values in them."""


def predict(
    program: bytes | Columns, config: EngineConfig, *, latency: int, bandwidth: float | None = None, base: int = 0, offset: int = 0
) -> Timing:
    """Say what a legal program takes on a memory of fixed latency and bandwidth.

    Parameters
    ----------
    program
        Encoded instructions, or their fields.
    latency, bandwidth
        Of the memory, as `sim.Simulator` has them: cycles, and bytes a cycle, by default one beat.
    base, offset
        Bus address of the memory window, and the program's place in it.

    Raises
    ------
    DeadlockError
        If the program does not end.
    ValueError
        If `program` is not made of whole instructions.
    """
    instructions = decode_all(program, config) if isinstance(program, bytes) else collect(program, config)
    results, total = np.zeros(len(instructions), RESULT), np.zeros((), TOTAL)
    memory = np.array((base, offset, latency, config.axi_bytes if bandwidth is None else bandwidth), MEMORY)
    stuck = _library().cleave_timing(
        _pointer(_machine(config)), _pointer(memory), _pointer(instructions), len(instructions), _pointer(results), _pointer(total)
    )
    if stuck >= 0:
        raise DeadlockError(Error.DEADLOCK, stuck)
    counters = {counter: int(total[counter.name.lower()]) for counter in Counter if counter not in CAUSES}
    counters |= {cause: int(cycles) for cause, cycles in zip(CAUSES, total["stalls"], strict=True)}
    return Timing(counters, results["start"], results["end"], results["stalls"])


def decode_all(program: bytes, config: EngineConfig) -> NDArray[np.void]:
    """Decode legal instructions, all at once, as far as their time depends on them."""
    if len(program) % INSTRUCTION_BYTES:
        raise ValueError(f"a program must be whole instructions of {INSTRUCTION_BYTES} bytes, not {len(program)} bytes")
    words = np.frombuffer(program, "<u8").reshape(-1, INSTRUCTION_BYTES // 8)
    opcodes = words[:, 0] & 0xFF
    columns = []
    for opcode, places in PLACES.items():
        numbers = np.flatnonzero(opcodes == opcode)
        columns.append((opcode, numbers, {name: bits(words[numbers], *place) for name, place in places.items()}))
    return collect(columns, config)


def collect(columns: Columns, config: EngineConfig) -> NDArray[np.void]:
    """Put together what the time of a legal program's instructions depends on."""
    columns = list(columns)
    collected = np.zeros(sum(len(numbers) for _, numbers, _ in columns), INSTRUCTION)
    for opcode, numbers, values in columns:
        part = np.zeros(len(numbers), INSTRUCTION)
        for name in FOLLOWED:
            if name in values:
                part[name] = values[name]
        if opcode == Opcode.DRAIN:
            for name, derived in _drained(part, config).items():
                part[name] = derived
        collected[numbers] = part
    return collected


def bits(words: NDArray[np.uint64], position: int, width: int) -> NDArray[np.uint64]:
    """Give a field of each instruction, words[instruction, 4], from bit `position` up."""
    low, shift = divmod(position, 64)
    value = words[:, low] >> np.uint64(shift)
    if shift + width > 64:
        value = value | words[:, low + 1] << np.uint64(64 - shift)
    return value & np.uint64((1 << width) - 1)


def _drained(drains: NDArray[np.void], config: EngineConfig) -> dict[str, NDArray[np.int64]]:
    output, columns = drains["output"], drains["columns"]
    sizes = np.array([target.storage_bytes for target in TARGETS])[drains["target"]]
    size = np.where(output == Output.INT32, ACCUMULATOR_BYTES, np.where(output >= Output.ROUNDED, sizes, 1))
    trailer = np.where(output == Output.BLOCKS, 1 + -(-columns // BLOCK), 0)
    return {
        "size": size,
        "last_beat": (columns - 1) // config.drain_lanes,
        "tail": (columns - 1) % config.drain_lanes + 1,
        "last_segment": np.where(output == Output.MOVING, (columns - 1) // config.array.rows, 0),
        "drained_bytes": columns * size + trailer,
    }


@cache
def _machine(config: EngineConfig) -> NDArray[np.int64]:
    """Give the model's `Configuration`."""
    return np.concatenate([np.atleast_1d(np.array(value, np.int64)) for value in machine_numbers(config).values()])


def machine_numbers(config: EngineConfig) -> Mapping[str, int | list[int]]:
    """Give what the model asks of a configuration, as the hardware's own parts say it: the members of `Configuration`."""
    array = config.array
    beat, word = config.axi_bytes, INSTRUCTION_BYTES
    halves = -(-config.read_columns // config.drain_lanes)
    widths = [min(config.drain_lanes, config.read_columns - first) for first in range(0, config.read_columns, config.drain_lanes)]
    chunks = chunk_limits(config)
    return {
        "slabs": array.slabs,
        "rows": array.rows,
        "cells": array.cells,
        "load_cycles": array.load_cycles,
        "quiet": QUIET,
        "start_delay": 2 + array.head_latency,
        "seam_delay": array.result_latency - MEMORY_LATENCY - 1,
        "row_latency": array.row_latency,
        "flight": flight(array),
        "queue_depth": config.queue_depth,
        "axi_bytes": beat,
        "burst_page": 1 << config.max_burst.bit_length() - 1,
        "read_outstanding": (1 << axi_read.OUTSTANDING_BITS) - 1,
        "write_outstanding": axi_write.OUTSTANDING,
        "fetch_room": fetch.ROOM,
        "fetch_batch": fetch.BATCH,
        "fetch_pieces": max(beat, word) // min(beat, word),
        "fetch_gathers": int(beat < word),
        "load_jobs": load.JOBS,
        "gearbox_capacity": gearbox.ring_beats(beat, chunk_bytes(config))[1],
        "chunk_bytes": [chunks[destination].bytes if destination in chunks else 0 for destination in Destination],
        "segment_bytes": [chunks[destination].segment_bytes if destination in chunks else 0 for destination in Destination],
        "segments": config.segments,
        "load_rows": array.load_rows,
        "stationary_rows": config.stationary_rows,
        "drain_lanes": config.drain_lanes,
        "drain_jobs": drain_ledger.JOBS,
        "read_columns": config.read_columns,
        "read_halves": halves,
        "read_delay": [READ_LATENCY + half * config.drain_lanes + width for half, width in enumerate((*widths, 0)[:2])],
        "reader_depth": reader_depth(config),
        "block_scales": int(config.block_scales),
        "block_beats": config.block_beats,
        "requantise_latency": RequantiserLane.LATENCY,
        "normalise_latency": Normaliser.LATENCY,
        "pack_latency": Packer.LATENCY,
        "trailer_bytes": ACCUMULATOR_BYTES * config.drain_lanes,
    }


def layout() -> str:
    """Give the C++ of the model's tables: `timing_layout.h`."""
    constants = {
        "INSTRUCTION_SIZE": INSTRUCTION_BYTES,
        "BANK_WRITE_LATENCY": WRITE_LATENCY,
        **{f"OPCODE_{opcode.name}": opcode for opcode in Opcode},
        **{f"UNIT_{unit.name}": unit for unit in Unit},
        **{f"DESTINATION_{destination.name}": destination for destination in Destination},
        **{f"OUTPUT_{output.name}": output for output in Output},
        **{counter.name.replace("STALL", "CAUSE"): number for number, counter in enumerate(CAUSES)},
    }
    machine = np.dtype([(name, np.int64, np.shape(value)) for name, value in machine_numbers(EngineConfig()).items()])
    return cpp_header(
        constants,
        {"Configuration": machine, "Instruction": INSTRUCTION, "Result": RESULT, "Total": TOTAL, "Memory": MEMORY},
    )


def _pointer(array: NDArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(compiled(SOURCE, {"timing_layout.h": layout(), DRAM.name: DRAM.read_text()})))
    library.cleave_timing.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] + [ctypes.c_void_p] * 2
    library.cleave_timing.restype = ctypes.c_int64
    return library
