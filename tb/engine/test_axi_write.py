"""The AXI4 write master alone: ranges and words in, bursts out."""

from random import Random

import pytest
from amaranth.sim import Simulator

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.axi_write import OUTSTANDING, AxiWriter
from tb.engine.axi_write_memory import AxiWriteMemory


class WriterBench:
    """Write random ranges; `stop_at` is the cycle in which the writer is told to stop."""

    def __init__(self, width: int, max_burst: int, seed: int, *, stall: float, latency: tuple[int, int]) -> None:
        print(f"{width} bit, max_burst {max_burst}, seed {seed}")
        self.random, self.stall = Random(seed), stall
        self.config = EngineConfig(ArrayConfig(), axi_data_width=width, max_burst=max_burst)
        self.dut = AxiWriter(self.config)
        self.memory = AxiWriteMemory(self.config, self.dut.axi, self.random, stall=stall, latency=latency)
        self.expected = self.memory.bytes.copy()
        self.ranges: list[tuple[int, int, int]] = []  # address, length, last of its job
        self.words: list[tuple[int, int]] = []
        self.done = self.errors = 0
        self.stop_at = 1 << 30

    def add(self, address: int, length: int, last: int) -> None:
        size = self.config.axi_bytes
        self.ranges.append((address, length, last))
        content = self.random.randbytes(length)
        self.expected[address:address + length] = list(content)
        for word in range(address // size, (address + length - 1) // size + 1):
            data = bytearray(self.random.randbytes(size))  # what has no strobe does not matter
            strobe = 0
            for lane in range(size):
                if 0 <= word * size + lane - address < length:
                    data[lane] = content[word * size + lane - address]
                    strobe |= 1 << lane
            self.words.append((int.from_bytes(data, "little"), strobe))

    def run(self) -> "WriterBench":
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(self.bench)
        simulator.run()
        return self

    async def bench(self, ctx) -> None:  # noqa: ANN001
        dut = self.dut
        ranges, words = iter(self.ranges), iter(self.words)
        quiet = 0
        sampled = [dut.write.valid, dut.write.ready, dut.i.valid, dut.i.ready, dut.done, dut.error, dut.busy]
        taken, given = True, True
        for cycle in range(1, 20000):
            if taken:
                address, length, last = entry = next(ranges, None) or (0, 0, 0)
                ctx.set(dut.write.valid, bool(length))
                ctx.set(dut.write.payload, {"transfer": {"address": address, "last": max(length, 1) - 1}, "last": last})
            if given:
                word = next(words, None) if self.random.random() >= self.stall else ()
                ctx.set(dut.i.valid, bool(word))
                if word:
                    ctx.set(dut.i.payload, {"data": word[0], "strobe": word[1]})
            _, _, *values = await ctx.tick().sample(*sampled, *self.memory.signals())
            range_valid, range_ready, word_valid, word_ready, done, error, busy, *rest = values
            taken = range_valid and range_ready
            given = not word_valid or word_ready
            self.done += done
            self.errors += error
            self.memory.step(ctx, cycle, rest)
            if cycle == self.stop_at:
                ctx.set(dut.stop, 1)
            over = cycle > self.stop_at or (not entry[1] and not word_valid)
            quiet = quiet + 1 if over and not busy else 0
            if quiet == 20:
                assert self.memory.idle
                return
        raise AssertionError("does not end")


CASES = [(64, 256), (64, 5), (128, 16), (256, 1), (512, 64), (1024, 32)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("width", "max_burst"), CASES)
def test_ranges(width: int, max_burst: int, seed: int) -> None:
    bench = WriterBench(width, max_burst, seed, stall=(0.0, 0.5)[seed], latency=((40, 40), (1, 80))[seed])
    jobs, address = 0, bench.random.randrange(64)
    while address < 12000:
        length = bench.random.choice([1, 2, 3, bench.random.randint(1, 100), bench.random.randint(1, 1200)])
        last = bench.random.randrange(2)
        jobs += last
        bench.add(address, length, last)
        address += length + bench.random.choice([0, 0, 1, bench.random.randrange(300)])
    bench.run()
    assert (bench.memory.bytes == bench.expected).all()
    assert (bench.done, bench.errors) == (jobs, 0)
    assert bench.memory.most_outstanding <= OUTSTANDING


@pytest.mark.parametrize("seed", range(8))
def test_stop(seed: int) -> None:
    """Bursts that were started are whole; their bytes are right or untouched; no further burst starts."""
    bench = WriterBench(128, 16, seed, stall=(0.0, 0.5)[seed % 2], latency=(1, 20))
    before = bench.memory.bytes.copy()
    for row in range(20):
        bench.add(row * 300 + 3, 250, int(row == 19))
    bench.stop_at = 10 + 13 * seed
    bench.run()
    written = bench.memory.bytes != before
    assert (bench.memory.bytes[written] == bench.expected[written]).all()
    assert bench.memory.bursts < 20 * 2
    assert bench.done == 0


def test_errors_are_told_per_response() -> None:
    bench = WriterBench(128, 16, 3, stall=0.2, latency=(5, 5))
    for row in range(6):
        bench.add(row * 64, 64, 1)
    bench.memory.responses |= {1: 2, 4: 3, 5: 1}
    bench.run()
    assert (bench.done, bench.errors) == (6, 3)


def test_throughput() -> None:
    """One beat per cycle over rows of 64 bytes, whatever the response takes."""
    bench = WriterBench(128, 16, 4, stall=0.0, latency=(60, 60))
    for row in range(64):
        bench.add(row * 64, 64, int(row == 63))
    bench.run()
    cycles = bench.memory.beat_cycles
    assert cycles[-1] - cycles[0] + 1 == len(cycles) == 256
