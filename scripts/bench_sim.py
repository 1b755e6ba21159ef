"""Simulation speed of the whole engine (`make bench-sim`): compiled by Verilator, and under Amaranth's own simulator.

Both run trains of passes on the whole array fused, from memory and with every result checked; the clock on the wall
runs from START to done. Builds start from an empty cache. Status 1 if the compiled simulator is slower than it must be.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import cleave
from cleave.compile.trains import Resident, Train, compile_trains
from cleave.config import PRESETS, EngineConfig
from cleave.engine.isa import Control, Register, Status
from cleave.engine.top import Engine

ROWS = 64
PASSES = 2000
RUNS = 5
"""How often the train runs; the median counts."""

SHORT_ROWS, SHORT_PASSES = 8, 2
"""The train for Amaranth's simulator, which is thousands of times slower."""

GOALS = {"default": 60e6, "medium": 120e6}
"""Useful MAC/s that the compiled simulator has to reach, by preset."""

BUILD_SECONDS = 60
"""Time that the build of `default` may take."""


@dataclass
class Speed:
    """What one simulator did."""

    config: str
    simulator: str
    build_seconds: float
    run_seconds: float
    cycles: int
    useful_macs: int

    @property
    def macs_per_second(self) -> float:
        return self.useful_macs / self.run_seconds

    @property
    def cycles_per_second(self) -> float:
        return self.cycles / self.run_seconds


def train(config: EngineConfig, rows: int, passes: int) -> Resident:
    """Give a train on the whole array fused."""
    return compile_trains(config, [Train(0, config.array.slabs, rows, passes)])


def check(program: Resident, memory: NDArray[np.uint8]) -> None:
    """Compare the results with what they must be."""
    for computed, expected in zip(program.computed(memory), program.expected, strict=True):
        np.testing.assert_array_equal(computed, expected)


def verilated(config: EngineConfig) -> Speed:
    """Measure the compiled engine, built from nothing."""
    began = time.perf_counter()
    with cleave.Engine(config) as engine:
        build = time.perf_counter() - began
        program = train(config, ROWS, PASSES)
        engine.memory[: len(program.memory)] = program.memory
        speeds = []
        for _ in range(RUNS):
            began = time.perf_counter()
            stats = engine.run(program.offset, program.length)
            seconds = time.perf_counter() - began
            check(program, engine.memory)
            assert stats.cycles is not None
            speeds.append(Speed(config.name, "Verilator", build, seconds, stats.cycles, stats.useful_macs))
    return sorted(speeds, key=lambda speed: speed.run_seconds)[RUNS // 2]


async def transfer(ctx: SimulatorContext, condition: Value, *signals: Value) -> tuple[int, ...]:
    """Wait for a cycle in which `condition` holds; give the signals in it.

    Unlike `until`, it may be left waiting when the simulation ends.
    """
    while True:
        _, _, holds, *values = await ctx.tick().sample(condition, *signals)
        if holds:
            return tuple(values)


class Host:
    """A host and a memory for the engine under Amaranth's simulator: no stalls, one outstanding burst at a time."""

    def __init__(self, config: EngineConfig, program: Resident) -> None:
        self.engine = Engine(config)
        self.width = config.axi_bytes
        self.program = program
        self.memory = program.memory.copy()
        self.cycles = 0
        self.seconds = 0.0

    async def write(self, ctx: SimulatorContext, register: Register, value: int) -> None:
        """Write a register."""
        bus = self.engine.control
        ctx.set(bus.aw.addr, int(register))
        ctx.set(bus.w.data, value)
        ctx.set(bus.w.strb, 0b1111)
        for signal in (bus.aw.valid, bus.w.valid, bus.b.ready):
            ctx.set(signal, 1)
        await transfer(ctx, bus.aw.ready)
        ctx.set(bus.aw.valid, 0)
        ctx.set(bus.w.valid, 0)
        await transfer(ctx, bus.b.valid)

    async def status(self, ctx: SimulatorContext) -> int:
        """Read STATUS."""
        bus = self.engine.control
        ctx.set(bus.ar.addr, int(Register.STATUS))
        ctx.set(bus.ar.valid, 1)
        ctx.set(bus.r.ready, 1)
        await transfer(ctx, bus.ar.ready)
        ctx.set(bus.ar.valid, 0)
        (status,) = await transfer(ctx, bus.r.valid, bus.r.data)
        return status

    async def run(self, ctx: SimulatorContext) -> None:
        """Program the engine, start it, and wait for its end."""
        await self.write(ctx, Register.WINDOW_SIZE_LOW, len(self.memory))
        await self.write(ctx, Register.PROGRAM_LOW, self.program.offset)
        await self.write(ctx, Register.PROGRAM_LENGTH, self.program.length)
        await self.write(ctx, Register.CONTROL, Control.START)
        first, began = self.cycles, time.perf_counter()
        while not (status := await self.status(ctx)) & (Status.DONE | Status.ERROR):
            await ctx.tick().repeat(8)
        self.seconds = time.perf_counter() - began
        self.cycles -= first
        assert status == Status.DONE, f"the engine stopped with status {status}"

    async def count(self, ctx: SimulatorContext) -> None:
        """Count cycles for ever."""
        while True:
            await ctx.tick()
            self.cycles += 1

    async def serve_reads(self, ctx: SimulatorContext) -> None:
        """Answer read bursts for ever."""
        ar, r = self.engine.read.ar, self.engine.read.r
        while True:
            ctx.set(ar.ready, 1)
            address, beats, number = await transfer(ctx, ar.valid, ar.addr, ar.len, ar.id)
            ctx.set(ar.ready, 0)
            ctx.set(r.valid, 1)
            ctx.set(r.id, number)
            for beat in range(beats + 1):
                start = address + beat * self.width
                ctx.set(r.data, int.from_bytes(self.memory[start : start + self.width].tobytes(), "little"))
                ctx.set(r.last, beat == beats)
                await transfer(ctx, r.ready)
            ctx.set(r.valid, 0)

    async def serve_writes(self, ctx: SimulatorContext) -> None:
        """Take write bursts for ever."""
        aw, w, b = self.engine.write.aw, self.engine.write.w, self.engine.write.b
        while True:
            ctx.set(aw.ready, 1)
            address, beats = await transfer(ctx, aw.valid, aw.addr, aw.len)
            ctx.set(aw.ready, 0)
            ctx.set(w.ready, 1)
            for beat in range(beats + 1):
                data, strobes = await transfer(ctx, w.valid, w.data, w.strb)
                for lane, value in enumerate(data.to_bytes(self.width, "little")):
                    if strobes >> lane & 1:
                        self.memory[address + beat * self.width + lane] = value
            ctx.set(w.ready, 0)
            ctx.set(b.valid, 1)
            await transfer(ctx, b.ready)
            ctx.set(b.valid, 0)


def interpreted(config: EngineConfig) -> Speed:
    """Measure the engine under Amaranth's simulator."""
    began = time.perf_counter()
    host = Host(config, train(config, SHORT_ROWS, SHORT_PASSES))
    simulator = Simulator(host.engine)
    simulator.add_clock(1e-8)
    for process in (host.count, host.serve_reads, host.serve_writes):
        simulator.add_testbench(process, background=True)
    simulator.add_testbench(host.run)
    build = time.perf_counter() - began
    simulator.run()
    check(host.program, host.memory)
    return Speed(config.name, "Amaranth", build, host.seconds, host.cycles, host.program.useful_macs)


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there")
    arguments = parser.parse_args()
    speeds: dict[str, Speed] = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CLEAVE_CACHE"] = cache  # where the compiled models are kept
        for name in GOALS:
            speeds[name] = verilated(PRESETS[name])
    speeds["interpreted"] = interpreted(PRESETS["default"])

    table = Table("config", "simulator", "build s", "cycles", "cycles/s", "useful MAC/s")
    for speed in speeds.values():
        rates = [f"{speed.cycles:,}", f"{speed.cycles_per_second:,.0f}", f"{speed.macs_per_second:,.0f}"]
        table.add_row(speed.config, speed.simulator, f"{speed.build_seconds:.1f}", *rates)
    Console().print(table)
    if arguments.json:
        rows = [
            asdict(s) | {"cycles_per_second": s.cycles_per_second, "useful_macs_per_second": s.macs_per_second}
            for s in speeds.values()
        ]
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    short = [name for name, goal in GOALS.items() if speeds[name].macs_per_second < goal]
    if speeds["default"].build_seconds > BUILD_SECONDS:
        short.append(f"build of default over {BUILD_SECONDS} s")
    goals = ", ".join(f"{name} {goal / 1e6:.0f} million MAC/s" for name, goal in GOALS.items())
    verdict = f"FALLS SHORT: {', '.join(short)}" if short else "ok"
    print(f"bench-sim: {verdict} (goals: {goals}, build {BUILD_SECONDS} s)")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
