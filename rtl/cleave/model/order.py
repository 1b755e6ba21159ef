"""Races and deadlocks: whether a program's result depends on nothing but its tokens and its units' own order.

The units run freely, so two accesses to the same place, one of them a write, must be ordered by what the engine
guarantees. Every unit carries a vector clock: what it knows to be complete, as the count of instructions per unit.
LOAD and DRAIN start their instructions in order and complete them in order, but may overlap them. A slab does the
same with MATMULs; a fused MATMUL is an event of each of its slabs, takes tokens at the first and gives them from the
last when its effects in all of them are visible. Accesses of one unit are ordered by the unit itself.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import EngineConfig
from ..engine.isa import Destination, Instruction, Opcode, Output, Unit
from .check import cuts, folded, moving_output, parameter_word_bytes, row_bytes, scale_words
from .machine import bits, units

Clock = NDArray[np.int64]
Place = tuple[str, int]

ACCUMULATORS = ("accumulators", "accumulators of lane 1")


class Access(NamedTuple):
    """Words of a bank, or bytes of memory, that a unit reads or writes."""

    place: Place
    unit: int
    where: slice | NDArray[np.int64]
    write: bool


@dataclass(frozen=True)
class Finding:
    """What is wrong at one instruction.

    `kind` is "race" (with an unordered earlier instruction), "deadlock" (a token that no earlier instruction gives),
    "left over" (a token that is never taken) or "overflow" (a counter may have to hold more tokens than it can).
    """

    kind: str
    index: int
    message: str


def accesses(instruction: Instruction, config: EngineConfig) -> Iterator[Access]:
    """Give everything that a legal instruction reads and writes."""
    access = {Opcode.LOAD: _load, Opcode.MATMUL: _matmul, Opcode.DRAIN: _drain}
    yield from access[instruction.opcode](instruction, config)


def _memory(instruction: Instruction, row_bytes: int) -> NDArray[np.int64]:
    starts = instruction.memory + np.arange(instruction.rows) * instruction.stride
    return (starts[:, None] + np.arange(row_bytes)).reshape(-1)


def _segments(unit: Unit, bank: str, slabs: int, words: Sequence[slice | NDArray[np.int64]]) -> Iterator[Access]:
    """Write the words of each segment to the banks of `slabs`, each segment to those one slab further than the one before."""
    for segment, where in enumerate(words):
        for slab in bits(slabs << segment):
            yield Access((bank, slab), unit, where, write=True)


def _load(instruction: Instruction, config: EngineConfig) -> Iterator[Access]:
    array, address, rows, row_bytes = config.array, instruction.address, instruction.rows, instruction.row_bytes
    yield Access(("memory", 0), Unit.LOAD, _memory(instruction, row_bytes), write=False)
    if instruction.destination == Destination.MOVING:
        cut = folded(row_bytes, array.rows, instruction.fold)
        of_rows = address + np.arange(rows)[:, None]
        words = [np.unique(of_rows + np.arange(cut.at(position)) * instruction.step) for position in range(cut.side)]
        yield from _segments(Unit.LOAD, "moving", instruction.slabs, words)
    elif instruction.destination == Destination.STATIONARY:
        cut = folded(row_bytes, array.columns, instruction.fold)
        of_rows = np.arange(rows)[:, None] * cut.folds
        places = [np.divmod(of_rows + np.arange(cut.at(position)), array.rows) for position in range(cut.side)]
        words = [np.unique(address + tile * instruction.step + row // array.load_rows) for tile, row in places]
        yield from _segments(Unit.LOAD, "stationary", instruction.slabs, words)
    elif instruction.destination == Destination.MOVING_SCALES:
        words = [slice(address, address + rows)] * (row_bytes - 1)
        yield from _segments(Unit.LOAD, "distances", instruction.slabs, words)
    elif instruction.destination == Destination.STATIONARY_SCALES:
        words = [slice(address, address + 1)] * (rows - 1)
        yield from _segments(Unit.LOAD, "stationary", instruction.slabs, words)
    else:
        words = rows * cuts(row_bytes, parameter_word_bytes(config))
        place = "parameters" if instruction.destination == Destination.PARAMETERS else "row parameters"
        yield Access((place, 0), Unit.LOAD, slice(address, address + words), write=True)


def _matmul(instruction: Instruction, config: EngineConfig) -> Iterator[Access]:
    steps = np.arange(instruction.passes)[:, None]

    def words(start: int, step: int, count: int) -> NDArray[np.int64]:
        return np.unique(start + steps * step + np.arange(count))

    tile_words = config.array.load_cycles + scale_words(instruction)
    moving = words(instruction.moving, instruction.moving_step, instruction.rows)
    stationary = words(instruction.stationary, instruction.stationary_step, tile_words)
    last = instruction.first + instruction.count - 1
    for slab in range(instruction.first, last + 1):
        yield Access(("moving", slab), Unit.SLAB + slab, moving, write=False)
        yield Access(("stationary", slab), Unit.SLAB + slab, stationary, write=False)
        if instruction.scaled:
            yield Access(("distances", slab), Unit.SLAB + slab, moving, write=False)
    rows = words(instruction.accumulator, instruction.accumulator_step, instruction.rows)
    for lane in range(2 if instruction.pairs else 1):
        yield Access((ACCUMULATORS[lane], last), Unit.SLAB + last, rows, write=True)


def _drain(instruction: Instruction, config: EngineConfig) -> Iterator[Access]:
    first, columns = instruction.accumulator, instruction.columns
    rows = slice(first, first + instruction.rows)
    yield Access((ACCUMULATORS[instruction.lane], instruction.slab), Unit.DRAIN, rows, write=False)
    if instruction.output != Output.INT32:
        words = slice(instruction.parameters, instruction.parameters + cuts(columns, config.drain_lanes))
        yield Access(("parameters", 0), Unit.DRAIN, words, write=False)
    if instruction.output in (Output.ROUNDED, Output.BLOCKS):
        words = slice(instruction.row_parameters, instruction.row_parameters + cuts(instruction.rows, config.drain_lanes))
        yield Access(("row parameters", 0), Unit.DRAIN, words, write=False)
    if instruction.output == Output.MOVING:
        slabs, address = moving_output(instruction)
        words = [slice(address, address + instruction.rows)] * cuts(columns, config.array.rows)
        yield from _segments(Unit.DRAIN, "moving", slabs, words)
    else:
        yield Access(("memory", 0), Unit.DRAIN, _memory(instruction, row_bytes(instruction)), write=True)


class _Shadow:
    """Who accessed each word of a place last: per unit the newest write and the newest read, counted from 1."""

    def __init__(self, size: int, unit_count: int) -> None:
        self.newest = {write: np.zeros((unit_count, size), np.int64) for write in (False, True)}

    def conflict(self, access: Access, known: Clock) -> int | None:
        """Give a unit with an access that conflicts with this one and is not known to be complete."""
        limit = known.copy()
        limit[access.unit] = np.iinfo(np.int64).max
        for write, newest in self.newest.items():
            if write or access.write:
                late = (newest[:, access.where] > limit[:, None]).any(axis=1)
                if late.any():
                    return int(np.flatnonzero(late)[0])
        return None

    def record(self, access: Access, count: int) -> None:
        self.newest[access.write][access.unit, access.where] = count


def find(program: Sequence[Instruction], config: EngineConfig, window: int) -> list[Finding]:
    """Give everything wrong with the order of a program of legal instructions, for a window of `window` bytes."""
    history = _History(config, window)
    for index, instruction in enumerate(program):
        history.follow(index, instruction)
    return history.findings + history.at_the_end()


class _History:
    """What every unit knows, what every place has seen, and the tokens that are on their way."""

    def __init__(self, config: EngineConfig, window: int) -> None:
        self.config = config
        self.sizes = {
            "distances": config.moving_depth,
            "row parameters": config.parameter_depth,
            "moving": config.moving_depth,
            "stationary": config.stationary_depth,
            **dict.fromkeys(ACCUMULATORS, config.accumulator_depth),
            "parameters": config.parameter_depth,
            "memory": window,
        }
        self.shadows: dict[Place, _Shadow] = {}
        self.unit_count = Unit.SLAB + config.array.slabs
        self.counts = np.zeros(self.unit_count, np.int64)
        # [unit]: what is complete when its newest instruction starts, and when it is complete.
        self.started = np.zeros((self.unit_count, self.unit_count), np.int64)
        self.completed = np.zeros((self.unit_count, self.unit_count), np.int64)
        self.traffic: dict[tuple[int, int], _Traffic] = defaultdict(_Traffic)
        self.findings: list[Finding] = []

    def follow(self, index: int, instruction: Instruction) -> None:
        taker, giver = units(instruction)
        members = slice(taker, giver + 1)
        start = self.take(index, instruction, self.started[members].max(axis=0))
        self.counts[members] += 1
        for access in accesses(instruction, self.config):
            self.access(index, access, start)

        # Each slab's own part is complete when its next MATMUL is; all of it only at the last slab.
        self.started[members] = start
        self.completed[members] = np.maximum(start, self.completed[members])
        for unit in range(taker, giver + 1):
            self.completed[unit, unit] = self.counts[unit]
        self.completed[giver] = self.completed[members].max(axis=0)
        for target in bits(instruction.signal):
            self.traffic[giver, target].given.append((index, self.completed[giver].copy()))

    def take(self, index: int, instruction: Instruction, start: Clock) -> Clock:
        taker, _ = units(instruction)
        for source in bits(instruction.wait):
            pair = self.traffic[source, taker]
            if len(pair.taken) == len(pair.given):
                message = f"no earlier instruction of unit {source} gives the token"
                self.findings.append(Finding("deadlock", index, message))
                continue
            start = np.maximum(start, pair.given[len(pair.taken)][1])
            pair.taken.append(int(self.counts[taker]) + 1)
        return start

    def access(self, index: int, access: Access, start: Clock) -> None:
        kind, number = access.place
        if access.place not in self.shadows:
            self.shadows[access.place] = _Shadow(self.sizes[kind], self.unit_count)
        shadow = self.shadows[access.place]
        if (other := shadow.conflict(access, start)) is not None:
            message = f"{kind} {number}: {'write' if access.write else 'read'} not ordered with unit {other}"
            self.findings.append(Finding("race", index, message))
        shadow.record(access, int(self.counts[access.unit]))

    def at_the_end(self) -> list[Finding]:
        findings = []
        limit = 2**self.config.token_bits - 1
        for (source, target), pair in self.traffic.items():
            for index, _ in pair.given[len(pair.taken) :]:
                message = f"unit {target} never takes unit {source}'s token"
                findings.append(Finding("left over", index, message))
            if (index := pair.overflow(target, limit)) is not None:
                message = f"unit {target} may have too many tokens from unit {source}"
                findings.append(Finding("overflow", index, message))
        return findings


class _Traffic:
    """Tokens of one pair of units, first come, first served.

    `given`: the giving instruction, and what is complete with it. `taken`: the taking ones, counted from 1 in their
    unit.
    """

    def __init__(self) -> None:
        self.given: list[tuple[int, Clock]] = []
        self.taken: list[int] = []

    def overflow(self, target: int, limit: int) -> int | None:
        """Give the first instruction that may give a token when `limit` given before are not yet taken."""
        for number, (index, complete) in enumerate(self.given):
            surely_taken = int(np.searchsorted(self.taken, complete[target], side="right"))
            if number + 1 - surely_taken > limit:
                return index
        return None
