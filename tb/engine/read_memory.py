"""Parts of the read side's benches: a memory behind AXI4 that checks what it is asked, stream ends, configurations."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth.hdl import Module
from amaranth.sim import Simulator, SimulatorContext

from cleave.config import PRESETS, ArrayConfig, EngineConfig

PLAIN = {
    **{name: PRESETS[name] for name in ("tiny", "odd", "default")},
    "load_rows": EngineConfig(
        ArrayConfig(slabs=3, rows=8, columns=5, dot=4, load_rows=2),
        moving_depth=20, stationary_depth=24, axi_data_width=256,
    ),
    "wide_bus": EngineConfig(
        ArrayConfig(slabs=5, rows=6, columns=12),
        moving_depth=40, stationary_depth=40, axi_data_width=512, axi_address_width=32, max_burst=5,
    ),
    "whole_word": EngineConfig(ArrayConfig(slabs=1, rows=16, columns=8, dot=4, load_rows=4), axi_data_width=256),
    "full_beat": EngineConfig(ArrayConfig(slabs=4, rows=8, columns=16, dot=4), axi_data_width=512),
    "wide_array": EngineConfig(
        ArrayConfig(slabs=2, rows=20, columns=37, dot=4, load_rows=4),
        moving_depth=30, stationary_depth=30, axi_data_width=64, max_burst=256,
    ),
}
CONFIGS = {name: config.plain() for name, config in PLAIN.items()} | {
    "scaled": PRESETS["default"],
    "scaled_widest": EngineConfig(
        ArrayConfig(slabs=7, rows=6, columns=10, load_rows=1),
        moving_depth=40, stationary_depth=40, axi_data_width=1024, max_burst=32,
    ),
    "scaled_load_rows": EngineConfig(
        ArrayConfig(slabs=5, rows=8, columns=3, dot=4, load_rows=2),
        moving_depth=20, stationary_depth=24, axi_data_width=64,
    ),
    "scaled_part_of_word": EngineConfig(
        ArrayConfig(slabs=2, rows=8, columns=10, dot=4, load_rows=4),
        moving_depth=20, stationary_depth=24, axi_data_width=256,
    ),
    "scaled_slabs": EngineConfig(
        ArrayConfig(slabs=12, rows=2, columns=1),
        moving_depth=30, stationary_depth=30, axi_data_width=64,
    ),
}


@dataclass
class Stalls:
    """Chances, per cycle, that a side is not ready or has nothing to give, and the memory's least latency in cycles."""

    address: float = 0
    data: float = 0
    user: float = 0
    latency: int = 1


@dataclass
class Burst:
    """A burst on AR, and the cycle in which it was accepted."""

    id: int
    address: int
    beats: int
    cycle: int


@dataclass
class ReadMemory:
    """Memory of `content`, from address `base` on; answers bursts in order per ID, and interleaves the IDs at random.

    Checks that AR is stable until accepted and obeys AXI4 and the configuration. Beats at addresses in `errors` are
    answered with SLVERR, and beats outside the content fail the test.
    """

    config: EngineConfig
    content: bytes
    base: int
    stalls: Stalls
    rng: random.Random
    errors: set[int] = field(default_factory=set)
    bursts: list[Burst] = field(default_factory=list)
    beat_cycles: list[int] = field(default_factory=list)

    def check(self, burst: Burst, size: int, kind: int) -> None:
        """Check one burst against AXI4 and the configuration."""
        width = self.config.axi_bytes
        assert (1 << size, kind) == (width, 1), "full-width INCR bursts only"
        assert burst.address % width == 0
        assert burst.beats <= self.config.max_burst
        assert burst.address // 4096 == (burst.address + burst.beats * width - 1) // 4096, "4 KiB rule"

    def read(self, address: int) -> tuple[int, int]:
        """Data and response of one beat; bytes of the beat around the content are ones."""
        width = self.config.axi_bytes
        start = address - self.base
        assert -width < start < len(self.content), f"beat outside the content: {start}"
        beat = bytes(self.content[i] if 0 <= i < len(self.content) else 0xFF for i in range(start, start + width))
        return int.from_bytes(beat, "little"), 2 if address in self.errors else 0

    async def serve(self, ctx: SimulatorContext, bus) -> None:  # noqa: ANN001 - an Axi4Read interface
        """Answer `bus` for ever."""
        queues: dict[int, deque[tuple[int, int, bool]]] = {0: deque(), 1: deque()}
        ar, r = bus.ar, bus.r
        waiting = offered = None
        cycle = 0
        while True:
            ready = self.rng.random() >= self.stalls.address
            ctx.set(ar.ready, ready)
            due = [id_ for id_, queue in queues.items() if queue and queue[0][0] <= cycle]
            if offered is None and due and self.rng.random() >= self.stalls.data:
                id_ = self.rng.choice(due)
                _, address, last = queues[id_].popleft()
                data, response = self.read(address)
                offered = (id_, data, response, last)
                ctx.set(r.id, id_)
                ctx.set(r.data, data)
                ctx.set(r.resp, response)
                ctx.set(r.last, last)
            ctx.set(r.valid, offered is not None)
            sampled = (ar.valid, ar.id, ar.addr, ar.len, ar.size, ar.burst, r.ready)
            _, _, valid, *payload, r_ready = await ctx.tick().sample(*sampled)
            assert waiting is None or (valid and payload == waiting), "AR must be held until it is accepted"
            waiting = payload if valid and not ready else None
            if valid and ready:
                id_, address, length, size, kind = payload
                burst = Burst(id_, address, length + 1, cycle)
                self.check(burst, size, kind)
                self.bursts.append(burst)
                for beat in range(burst.beats):
                    due_cycle = cycle + self.stalls.latency
                    queues[id_].append((due_cycle, address + beat * self.config.axi_bytes, beat == length))
            if offered is not None and r_ready:
                offered = None
                self.beat_cycles.append(cycle)
            cycle += 1


async def send(ctx: SimulatorContext, stream, payload) -> None:  # noqa: ANN001 - a stream interface
    """Offer one payload until it is accepted."""
    ctx.set(stream.p, payload)
    ctx.set(stream.valid, 1)
    accepted = False
    while not accepted:  # `until` would leave a generator that cannot be closed when the simulation ends first
        _, _, accepted = await ctx.tick().sample(stream.ready)
    ctx.set(stream.valid, 0)


async def receive(ctx: SimulatorContext, stream, rng: random.Random, stall: float, take: Callable) -> None:  # noqa: ANN001
    """Accept for ever, stalling at random, and call `take(cycle, payload)`; check that what is offered is held."""
    cycle = 0
    waiting = None
    while True:
        ready = rng.random() >= stall
        ctx.set(stream.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        assert waiting is None or (valid and payload == waiting), "a stream's payload must be held until it is accepted"
        waiting = payload if valid and not ready else None
        if valid and ready:
            take(cycle, payload)
        cycle += 1


def simulate(design: Module, main: Callable, *background: Callable) -> None:
    """Run `main` as a testbench beside the background ones."""
    simulator = Simulator(design)
    simulator.add_clock(1e-8)
    for process in background:
        simulator.add_testbench(process, background=True)
    simulator.add_testbench(main)
    simulator.run()
