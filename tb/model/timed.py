"""Random cases for the timing model: an engine, a program and a memory, and what the RTL makes of them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.engine.isa import INSTRUCTION_BYTES, Counter, Error, Opcode, Unit
from cleave.errors import EngineError
from cleave.model.timing import Timing, decode_all, predict
from cleave.sim.simulator import BASE, SimulationError, Simulator
from tb.model.random_programs import random_program

WINDOW = 2**20
"""Bytes that programs read and write; the program itself is behind them."""

SETTLED = 1000
"""Cycles in which the memory's bandwidth, that was not used, has come to its limit."""

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "odd": PRESETS["odd"],
    "default": PRESETS["default"],
    "w4a8": PRESETS["w4a8"],
    "plain": PRESETS["tiny"].plain(),
    "wide bus": replace(PRESETS["odd"], axi_data_width=512, queue_depth=2, max_burst=3),
    "full beat": replace(PRESETS["default"], axi_data_width=512),
    "widest bus": replace(PRESETS["tiny"], axi_data_width=1024),
    "whole word": EngineConfig(ArrayConfig(slabs=1, rows=16, columns=8, dot=4, load_rows=4), axi_data_width=256),
    "part of word": EngineConfig(ArrayConfig(slabs=2, rows=8, columns=10, dot=4, load_rows=4), axi_data_width=256),
}
"""Engines of all kinds that are built quickly."""


@dataclass(frozen=True)
class Case:
    """A program, the memory that it runs on, and how the memory is timed."""

    seed: int
    program: bytes
    offset: int
    latency: int
    bandwidth: float | None

    def __str__(self) -> str:
        length = len(self.program) // INSTRUCTION_BYTES
        return f"seed {self.seed}: {length} instructions, latency {self.latency}, bandwidth {self.bandwidth or 'a beat'}"


def draw(config: EngineConfig, seed: int, longest: int) -> Case:
    """Draw a case."""
    rng = Random(seed)
    latency = rng.choice([1, rng.randint(1, 8), rng.randint(1, 200), 200])
    bandwidth = rng.choice([None, None, 1.0, 3.3, config.axi_bytes / 2, config.axi_bytes * rng.random() + 0.5])
    program = random_program(config, rng, rng.randint(1, longest), WINDOW)
    return Case(seed, program, WINDOW + rng.randrange(8) * INSTRUCTION_BYTES, latency, bandwidth)


def cases(config: EngineConfig, seeds: Iterator[int], count: int, longest: int) -> Iterator[tuple[Case, dict[Counter, int]]]:
    """Draw so many cases, and give the RTL's counters of each.

    Draw anew where two units meet in one word of a memory, or results are loaded as scales that are too far apart.
    """
    while count:
        case = draw(config, next(seeds), longest)
        try:
            counters = measure(config, case)
        except SimulationError as error:
            if "read and write of word" not in str(error):
                raise
            continue
        except EngineError as error:
            if error.code is not Error.SCALE:
                raise
            continue
        yield case, counters
        count -= 1


def measure(config: EngineConfig, case: Case, trace: Path | None = None) -> dict[Counter, int]:
    """Run a case on the RTL."""
    engine = Simulator(config, latency=case.latency, bandwidth=case.bandwidth, memory_bytes=2 * WINDOW, trace=trace)
    with closing(engine):
        engine.memory[case.offset :][: len(case.program)] = np.frombuffer(case.program, np.uint8)
        engine.step(SETTLED)
        return engine.run(case.offset, len(case.program) // INSTRUCTION_BYTES).counters


def predicted(config: EngineConfig, case: Case) -> Timing:
    """Ask the model for the same."""
    return predict(case.program, config, latency=case.latency, bandwidth=case.bandwidth, base=BASE, offset=case.offset)


def differences(case: Case, timing: Timing, counters: dict[Counter, int]) -> list[str]:
    """Say which counters differ."""
    return [
        f"{case}: {counter.name} is {counters[counter]} in the RTL, {timing.counters[counter]} in the model"
        for counter in Counter
        if counters[counter] != timing.counters[counter]
    ]


Events = dict[tuple[str, int], list[int]]
"""The cycles in which each unit takes an instruction, gives tokens or, of slabs, loads a tile, from the program's start."""


def observed(trace: Path, config: EngineConfig) -> Events:
    """Read the events from the waveform of one program."""
    engine, units = ("cleave", "cleave_bench", "engine"), Unit.SLAB + config.array.slabs
    wanted = {(*engine, "supervisor", "running"): ("running", 0)}
    for unit in range(units):
        wanted |= {(*engine, "dependencies", f"{event}__{unit}"): (event, unit) for event in ("takes", "gives")}
    for s in range(config.array.slabs):
        wanted[*engine, f"sequencer_{s}", "load__valid"] = ("loads", Unit.SLAB + s)
    events: Events = {event: [] for event in wanted.values()}
    by_code: dict[str, tuple[str, int]] = {}
    scope: list[str] = []
    high: set[tuple[str, int]] = set()
    begin = cycle = -1
    with trace.open() as lines:  # one item to a line, as Verilator writes it
        for line in lines:
            match line.split():
                case ["$scope", _, name, "$end"]:
                    scope.append(name)
                case ["$upscope", "$end"]:
                    scope.pop()
                case ["$var", _, _, code, name, *_] if (*scope, name) in wanted:
                    by_code[code] = wanted[*scope, name]
                case [change] if change.startswith("#") and int(change[1:]) % 2 == 0:  # a cycle's values stand until its end
                    for event in high if begin >= 0 else ():
                        events[event] += range(cycle - begin, int(change[1:]) // 2 - begin)
                    cycle = int(change[1:]) // 2
                case [value, code] if value[0] == "b" and code in by_code:
                    (high.add if "1" in value else high.discard)(by_code[code])
                case [change] if change[0] in "01" and change[1:] in by_code:
                    event = by_code[change[1:]]
                    (high.add if change[0] == "1" else high.discard)(event)
                    if event == ("running", 0) and event in high:
                        begin = cycle
    return events


def expected(case: Case, timing: Timing, config: EngineConfig) -> Events:
    """Give what the model says of these events: of loads and takes, each instruction's first."""
    units = range(Unit.SLAB + config.array.slabs)
    events: Events = {(event, unit): [] for event in ("takes", "gives") for unit in units}
    for instruction, start, end in zip(decode_all(case.program, config), timing.start, timing.end, strict=True):
        if instruction["opcode"] == Opcode.MATMUL:
            taker = Unit.SLAB + int(instruction["first"])
            giver = taker + int(instruction["count"]) - 1
        else:
            taker = giver = Unit.LOAD if instruction["opcode"] == Opcode.LOAD else Unit.DRAIN
            events["takes", taker].append(int(start))
        if instruction["signal"]:
            events["gives", giver].append(int(end))
    return {event: sorted(at) for event, at in events.items()}


@cache
def first_loads(program: bytes, config: EngineConfig) -> dict[int, list[tuple[int, int]]]:
    """Give for each leading slab its MATMULs: their numbers, and the load tokens before the first one of theirs."""
    found: dict[int, list[tuple[int, int]]] = {}
    before: dict[int, int] = {}
    for index, instruction in enumerate(decode_all(program, config)):
        if instruction["opcode"] == Opcode.MATMUL:
            leader = int(instruction["first"])
            found.setdefault(leader, []).append((index, before.get(leader, 0)))
            before[leader] = before.get(leader, 0) + int(instruction["passes"])
    return found
