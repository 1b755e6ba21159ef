"""The token counters: given, asked for, taken, and too many."""

from collections import Counter
from random import Random

from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.dependencies import Dependencies

SLABS = 3
UNITS = range(2 + SLABS)
CONFIG = EngineConfig(ArrayConfig(slabs=SLABS, rows=4, columns=2), token_bits=2)
FULL = 3
PAIRS = [(giver, taker) for giver in UNITS for taker in UNITS if giver != taker and min(giver, taker) < 2]


def test_random_tokens(seed: int) -> None:
    rng = Random(seed)
    counts: Counter[tuple[int, int]] = Counter()
    seen: Counter[str] = Counter()

    async def bench(ctx) -> None:  # noqa: ANN001
        for _ in range(1500):
            asks = [sum(1 << giver for giver, t in PAIRS if t == taker and rng.random() < 0.2) for taker in UNITS]
            missing = [
                sum(1 << giver for giver in UNITS if asks[taker] >> giver & 1 and not counts[giver, taker])
                for taker in UNITS
            ]
            takes = [not missing[taker] and rng.random() < 0.7 for taker in UNITS]
            taken = {(g, t) for g, t in PAIRS if takes[t] and asks[t] >> g & 1}
            # Now and then one more than there is room for.
            given = {p for p in PAIRS if rng.random() < 0.2 and (counts[p] < FULL or p in taken or rng.random() < 0.02)}
            overflow = any(counts[pair] == FULL and pair not in taken for pair in given)
            for unit in UNITS:
                ctx.set(dut.asks[unit], asks[unit])
                ctx.set(dut.takes[unit], takes[unit])
                ctx.set(dut.gives[unit], sum(1 << taker for giver, taker in given if giver == unit))
            assert [ctx.get(dut.missing[unit]) for unit in UNITS] == missing
            assert ctx.get(dut.overflow) == overflow
            seen.update(overflow=overflow, both=len(given & taken), missing=sum(map(bool, missing)))
            if overflow:
                ctx.set(reset, 1)
                counts.clear()
            await ctx.tick()
            ctx.set(reset, 0)
            if not overflow:
                counts.update(given)
                counts.subtract(taken)

    reset = Signal()
    dut = Dependencies(CONFIG)
    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(seen["overflow"], seen["both"], seen["missing"]) > 10, seen
