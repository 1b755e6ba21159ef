"""The instruction fetch with its read master: every instruction once, in order, or the right error."""

from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect

from cleave.config import EngineConfig
from cleave.engine.axi_read import AxiRead
from cleave.engine.fetch import BATCH, Fetch
from cleave.engine.isa import INSTRUCTION_BITS, Destination, Error
from cleave.engine.load import Load
from tb.engine.read_memory import CONFIGS, ReadMemory, Stalls, receive, send, simulate

SIZE = 8192
BASE = 0x12340

BY_WIDTH = {config.axi_data_width: name for name, config in reversed(CONFIGS.items())}
"""One configuration for each width of the bus."""

STALLS = {"smooth": Stalls(latency=12), "rough": Stalls(0.4, 0.4, 0.6, 3)}


class Bench:
    """The fetch behind its read master, and what came out of it."""

    def __init__(self, config: EngineConfig, rng: Random, stalls: Stalls, base: int = BASE) -> None:
        self.config, self.rng, self.base = config, rng, base
        self.memory = ReadMemory(config, rng.randbytes(SIZE), base, stalls, rng)
        self.fetched: list[tuple[int, int]] = []
        self.cycles: list[int] = []
        self.failed: list[tuple[Error, int]] = []
        self.done = 0

    def instructions(self, program: int, length: int) -> list[tuple[int, int]]:
        """Give the instructions of a program, and their numbers."""
        words = (self.memory.content[start:start + 32] for start in range(program, program + 32 * length, 32))
        return [(int.from_bytes(word, "little"), index) for index, word in enumerate(words)]

    def run(self, *programs: tuple[int, int], abort: int | None = None) -> None:
        """Run programs, given by offset and length, one after the other, until done or failed and then quiet."""
        m = Module()
        m.submodules.fetch = fetch = Fetch(self.config)
        m.submodules.axi = axi = AxiRead(self.config)
        connect(m, fetch.read, axi.fetch)

        async def serve(ctx) -> None:  # noqa: ANN001
            await self.memory.serve(ctx, axi.bus)

        async def collect(ctx) -> None:  # noqa: ANN001
            def take(cycle: int, fetched) -> None:  # noqa: ANN001
                self.cycles.append(cycle)
                self.fetched.append((fetched["instruction"], fetched["index"]))

            await receive(ctx, fetch.fetched, self.rng, self.memory.stalls.user, take)

        async def run(ctx, program: int, length: int) -> None:  # noqa: ANN001
            ctx.set(fetch.program, program)
            ctx.set(fetch.length, length)
            ctx.set(fetch.start, 1)
            await ctx.tick()
            ctx.set(fetch.start, 0)
            quiet = 0
            for cycle in range(5000):
                ctx.set(fetch.abort, cycle == abort)
                _, _, failed, code, index, busy, done = await ctx.tick().sample(
                    fetch.failure.valid, fetch.failure.code, fetch.failure.index, fetch.busy, fetch.done,
                )
                if length == 0:
                    assert done and not busy
                if failed:
                    self.failed.append((Error(code), index))
                assert not (done and busy)
                quiet = quiet + 1 if not busy else 0
                if quiet == (1 if done else 30):
                    self.done += done
                    return
            raise AssertionError("the fetch hangs")

        async def main(ctx) -> None:  # noqa: ANN001
            ctx.set(fetch.window.base, self.base)
            ctx.set(fetch.window.size, SIZE)
            for program, length in programs:
                await run(ctx, program, length)
                assert len(self.memory.beat_cycles) == sum(burst.beats for burst in self.memory.bursts)

        simulate(m, main, serve, collect)
        assert all(burst.id == 1 for burst in self.memory.bursts)


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("width", sorted(BY_WIDTH))
def test_gives_every_instruction_in_order(width: int, stalls: str, seed: int) -> None:
    """Programs of lengths up to several times the room, from any instruction's place, without a reset between them."""
    rng = Random(seed)
    bench = Bench(CONFIGS[BY_WIDTH[width]], rng, STALLS[stalls])
    programs = [(32 * rng.randrange(100), length) for length in (1, 2, 0, 5, 8, 9, rng.randrange(10, 60), 3)]
    programs.append((SIZE - 32 * 7, 7))
    bench.run(*programs)
    assert bench.done == len(programs)
    assert not bench.failed
    assert bench.fetched == [item for program in programs for item in bench.instructions(*program)]
    assert max(burst.beats for burst in bench.memory.bursts) == BATCH * INSTRUCTION_BITS // width, "instructions come in bursts"


@pytest.mark.parametrize("width", sorted(BY_WIDTH))
def test_instructions_come_at_the_bus_rate(width: int, seed: int) -> None:
    """As many cycles per instruction as it has beats, as long as the memory's latency is hidden by the room."""
    bench = Bench(CONFIGS[BY_WIDTH[width]], Random(seed), Stalls())
    bench.run((0, 100))
    steps = sorted(after - before for before, after in zip(bench.cycles, bench.cycles[1:], strict=False))
    assert steps[len(steps) // 2] == max(1, 256 // width)


@pytest.mark.parametrize(("program", "length", "expected"), [
    (0, SIZE // 32 + 1, (Error.WINDOW, SIZE // 32)),
    (SIZE - 64, 3, (Error.WINDOW, 2)),
    (SIZE, 1, (Error.WINDOW, 0)),
    (2**48 - 32, 1, (Error.WINDOW, 0)),
    (0, 2**32 - 1, (Error.WINDOW, SIZE // 32)),
    (16, 1, (Error.ILLEGAL_INSTRUCTION, 0)),
])
def test_refuses_programs(program: int, length: int, expected: tuple[Error, int], seed: int) -> None:
    bench = Bench(CONFIGS["default"], Random(seed), Stalls())
    bench.run((program, length))
    assert bench.failed == [expected]
    assert not bench.memory.bursts and not bench.fetched and not bench.done


@pytest.mark.parametrize("past", [0, 1])
def test_last_instruction_of_the_address_space(past: int, seed: int) -> None:
    """The window goes past the last address, and only a program that does too is refused."""
    config = CONFIGS["wide_bus"]
    bench = Bench(config, Random(seed), Stalls(), base=2**config.axi_address_width - 320)
    bench.run((0, 10 + past))
    assert bench.failed == ([(Error.WINDOW, 10)] if past else [])
    assert bench.fetched == ([] if past else bench.instructions(0, 10))


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("width", sorted(BY_WIDTH))
def test_bus_error_names_its_instruction(width: int, stalls: str, seed: int) -> None:
    rng = Random(seed)
    beat_bytes = width // 8
    for _ in range(3):
        bench = Bench(CONFIGS[BY_WIDTH[width]], rng, STALLS[stalls])
        program, length = 32 * rng.randrange(50), rng.randint(1, 30)
        error = BASE + program + rng.randrange(32 * length)
        bench.memory.errors.add(error - error % beat_bytes)
        first = max(0, (error - error % beat_bytes - BASE - program) // 32)
        bench.run((program, length))
        assert bench.failed == [(Error.AXI_READ, first)]
        assert bench.fetched == bench.instructions(program, length)[:first]
        assert not bench.done


@pytest.mark.parametrize("stalls", STALLS)
def test_abort_finishes_what_is_on_the_bus(stalls: str, seed: int) -> None:
    rng = Random(seed)
    for _ in range(5):
        bench = Bench(CONFIGS["tiny"], rng, Stalls(**vars(STALLS[stalls]) | {"user": 0}))
        abort = rng.randrange(120)
        bench.run((0, 100), abort=abort)
        assert not bench.failed and not bench.done
        assert bench.fetched == bench.instructions(0, 100)[:len(bench.fetched)]
        # The memory counts cycles from 0, the run from the cycle after `start`.
        assert len([burst for burst in bench.memory.bursts if burst.cycle > abort + 1]) <= 1


def test_shares_the_bus_with_load(seed: int) -> None:
    """LOAD's chunks are taken now and then, with much of its data on the way; both units end."""
    rng = Random(seed)
    config = CONFIGS["default"]
    memory = ReadMemory(config, rng.randbytes(SIZE), BASE, Stalls(latency=10), rng)
    fetched = []
    m = Module()
    m.submodules.fetch = fetch = Fetch(config)
    m.submodules.load = load = Load(config)
    m.submodules.axi = axi = AxiRead(config)
    connect(m, fetch.read, axi.fetch)
    connect(m, load.read, axi.load)

    async def serve(ctx) -> None:  # noqa: ANN001
        await memory.serve(ctx, axi.bus)

    async def collect(ctx) -> None:  # noqa: ANN001
        await receive(ctx, fetch.fetched, rng, 0.2, lambda _, item: fetched.append(item["index"]))

    async def main(ctx) -> None:  # noqa: ANN001
        for unit in (fetch, load):
            ctx.set(unit.window.base, BASE)
            ctx.set(unit.window.size, SIZE)
        ctx.set(load.chunk.ready, 1)
        await send(ctx, load.unit.command, {"instruction": {
            "destination": Destination.MOVING, "slabs": 1, "rows": 200, "row_bytes": 8, "stride": 8,
        }})
        ctx.set(fetch.length, 50)
        ctx.set(fetch.start, 1)
        await ctx.tick()
        ctx.set(fetch.start, 0)
        # LOAD's chunks are always taken again after a while, as an in-order memory needs.
        for cycle in range(2000):
            ctx.set(load.chunk.ready, cycle % 40 < 10)
            await ctx.tick()
        assert ctx.get(fetch.done) and not ctx.get(load.unit.busy)

    simulate(m, main, serve, collect)
    assert fetched == list(range(50))
    assert {burst.id for burst in memory.bursts} == {0, 1}
