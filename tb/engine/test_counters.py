"""The performance counters, against their definitions."""

from collections import Counter as Tally
from random import Random

from amaranth.sim import Simulator

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.counters import Counters
from cleave.engine.isa import Counter

SLABS = 3
CONFIG = EngineConfig(ArrayConfig(slabs=SLABS, rows=4, columns=2))


def test_definitions(seed: int) -> None:
    rng = Random(seed)

    async def bench(ctx) -> None:  # noqa: ANN001
        for _ in range(8):
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            expected = Tally(dict.fromkeys(Counter, 0))
            started = None
            for cycle in range(120):
                running = 5 <= cycle < 100
                bits = {name: [int(rng.random() < p) for _ in range(SLABS)]
                        for name, p in [("streaming", 0.6), ("started", 0.03), ("written", 0.1)]}  # fmt: skip
                macs, causes = [rng.getrandbits(20) for _ in range(SLABS)], [rng.randrange(6) for _ in range(SLABS)]
                beats = rng.randrange(2), rng.randrange(2)
                ctx.set(dut.running, running)
                ctx.set(dut.read_beat, beats[0])
                ctx.set(dut.write_beat, beats[1])
                for s in range(SLABS):
                    for name, values in bits.items():
                        ctx.set(getattr(dut, name)[s], values[s])
                    ctx.set(dut.row_macs[s], macs[s])
                    ctx.set(dut.cause[s], causes[s])
                await ctx.tick()
                if not running:
                    continue
                expected[Counter.CYCLES] += 1
                expected[Counter.USEFUL_MACS] += sum(macs)
                expected[Counter.READ_BEATS] += beats[0]
                expected[Counter.WRITE_BEATS] += beats[1]
                for streaming, cause in zip(bits["streaming"], causes, strict=True):
                    expected[Counter.STREAMING if streaming else Counter(Counter.STALL_PARTITION + cause)] += 1
                if started is None and any(bits["started"]):
                    started = cycle
                if started is not None and any(bits["written"]):
                    expected[Counter.ARRAY_CYCLES] = cycle - started + 1
            assert {counter: ctx.get(dut.values[counter]) for counter in Counter} == dict(expected)
            stalls = [expected[counter] for counter in Counter if counter >= Counter.STREAMING]
            assert sum(stalls) == SLABS * expected[Counter.CYCLES]

    dut = Counters(CONFIG)
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
