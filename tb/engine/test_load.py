"""LOAD with its read master, against numpy: bytes, errors, the order of completions, and cycles."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect

from cleave.config import EngineConfig
from cleave.engine.axi_read import AxiRead
from cleave.engine.isa import Destination, Error
from cleave.engine.load import Load
from tb.engine.load_reference import Fields, empty_banks, errors, random_any, random_legal, write, write_chunk
from tb.engine.read_memory import CONFIGS, ReadMemory, Stalls, receive, send, simulate

SIZE = 6000
"""Bytes of the memory window: more than a page."""


class Bench:
    """LOAD behind its read master, and what came out of it."""

    def __init__(self, config: EngineConfig, rng: Random, stalls: Stalls, base: int | None = None) -> None:
        self.config, self.rng = config, rng
        self.base = rng.randrange(1 << 20) if base is None else base
        self.memory = ReadMemory(config, rng.randbytes(SIZE), self.base, stalls, rng)
        self.load = Load(config)
        self.banks = empty_banks(config)
        self.chunks: list[int] = []  # cycle of each chunk
        self.completed: list[tuple[int, int]] = []  # cycle and signal
        self.failed: list[tuple[Error, int]] = []

    def run(self, loads: list[Fields], limit: int = 4000) -> None:
        """Run instructions until all are complete, or one has failed and the unit is quiet."""
        m = Module()
        m.submodules.load = load = self.load
        m.submodules.axi = axi = AxiRead(self.config)
        connect(m, load.read, axi.load)
        unit = load.unit

        async def serve(ctx) -> None:  # noqa: ANN001
            await self.memory.serve(ctx, axi.bus)

        async def collect(ctx) -> None:  # noqa: ANN001
            def take(cycle: int, chunk) -> None:  # noqa: ANN001
                self.chunks.append(cycle)
                write_chunk(self.config, self.banks, chunk)

            await receive(ctx, load.chunk, self.rng, self.memory.stalls.user, take)

        async def command(ctx) -> None:  # noqa: ANN001
            for index, fields in enumerate(loads):
                await send(ctx, unit.command, {"instruction": {"opcode": 1, **fields}, "index": 1000 + index})

        async def main(ctx) -> None:  # noqa: ANN001
            ctx.set(load.window.base, self.base)
            ctx.set(load.window.size, SIZE)
            quiet = 0
            for cycle in range(limit):
                _, _, done, signal, failed, code, index, busy = await ctx.tick().sample(
                    unit.complete.valid, unit.complete.signal,
                    unit.failure.valid, unit.failure.code, unit.failure.index, unit.busy,
                )
                if done:
                    self.completed.append((cycle, signal))
                    assert busy
                if failed:
                    self.failed.append((Error(code), index))
                ended = self.failed or len(self.completed) == len(loads)
                quiet = quiet + 1 if ended and not busy else 0
                if quiet == 30:
                    self.asked = len(self.memory.bursts)
                    return
            raise AssertionError("LOAD hangs")

        simulate(m, main, serve, collect, command)
        answered = sum(burst.beats for burst in self.memory.bursts)
        assert len(self.memory.beat_cycles) == answered, "quiet only after all answers"

    def check(self, loads: list[Fields]) -> None:
        """Check that all instructions were done, in order."""
        assert not self.failed
        assert [signal for _, signal in self.completed] == [load["signal"] for load in loads]
        expected = empty_banks(self.config)
        for load in loads:
            write(self.config, expected, load, self.memory.content)
        for name, bank in expected.items():
            assert (self.banks[name] == bank).all(), name


STALLS = {"smooth": Stalls(latency=20), "rough": Stalls(0.4, 0.4, 0.4, 3), "slow bus": Stalls(0.7, 0.7, 0, 1)}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name", CONFIGS)
def test_writes_what_numpy_says(name: str, stalls: str, seed: int) -> None:
    rng = Random(seed)
    bench = Bench(CONFIGS[name], rng, STALLS[stalls])
    loads = [random_legal(bench.config, rng, SIZE) for _ in range(12)]
    bench.run(loads, limit=20000)
    bench.check(loads)


@contextmanager
def described(loads: list[Fields]) -> Iterator[None]:
    """Print the instructions of a failing check."""
    try:
        yield
    except AssertionError:
        print(*loads, sep="\n")
        raise
