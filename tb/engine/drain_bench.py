"""The drain with models of all that is around it: accumulator banks, memory, moving banks, control unit."""

from collections import defaultdict
from random import Random

import numpy as np
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from cleave.config import EngineConfig
from cleave.engine.bank_writer import WRITE_LATENCY
from cleave.engine.drain import Drain
from cleave.engine.isa import Error, Output
from cleave.engine.ports import READ_LATENCY
from cleave.numerics.formats import TARGETS
from cleave.numerics.requantise import RECORD, requantise
from tb.engine import rounded_reference
from tb.engine.axi_write_memory import AxiWriteMemory

ROUNDS = (Output.ROUNDED, Output.BLOCKS)

BASE = 0x1_0000_0000 - 0x1000
"""The memory window's base: rows in it cross 2**32."""


class Lane:
    """A source of patience: ready with a pattern, or at random."""

    def __init__(self, random: Random, pattern: float | tuple[int, ...]) -> None:
        self.random, self.pattern = random, pattern

    def __call__(self, cycle: int) -> int:
        if isinstance(self.pattern, tuple):
            return self.pattern[cycle % len(self.pattern)]
        return int(self.random.random() >= self.pattern)


class DrainBench:
    """Run DRAIN instructions and compare every byte, wherever it may have gone, with numpy.

    Accumulator reads follow the contract of `ports.AccumulatorRead`: garbage in no cycle, data in exactly one.
    """

    def __init__(
        self,
        config: EngineConfig,
        seed: int,
        *,
        stall: float = 0.0,
        read_stall: float | tuple[int, ...] = (0, 1),
        read_parity: int = 0,
        latency: tuple[int, int] = (1, 1),
        unaligned: int = 0,
        size: int = 1 << 14,
        window: int | None = None,
    ) -> None:
        print(f"{config.name} {config.axi_data_width} bit, seed {seed}")
        self.config, self.random = config, Random(seed)
        generator = np.random.default_rng(seed)
        array = config.array
        self.base = BASE + unaligned
        self.window = size - unaligned if window is None else window
        self.dut = Drain(config)
        self.reset = Signal()
        self.memory = AxiWriteMemory(
            config, self.dut.axi, self.random, base=BASE, size=size, stall=stall, latency=latency,
        )
        self.unaligned, self.read_parity = unaligned, read_parity
        self.expected = self.memory.bytes.copy()
        self.read_ready = [Lane(self.random, read_stall) for _ in range(array.slabs)]
        self.chunk_ready = Lane(self.random, stall)

        # Sums as large as they come, and as small as they often are.
        shape = (array.slabs, config.accumulator_depth, array.columns)
        bits = config.accumulator_bits
        wide = generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape, endpoint=False)
        lengths = generator.choice([0, 0, 0, 18, *range(18, bits, 3)], shape)
        self.accumulators = wide >> lengths
        self.outputs = list(Output) if config.block_scales else [Output.INT32, Output.INT8, Output.MOVING]
        self.records = np.zeros((config.parameter_depth, config.drain_lanes), RECORD)
        self.row_records = np.zeros(0, rounded_reference.RECORD)
        self.records["bias"] = generator.integers(-(2**31), 2**31, self.records.shape) >> generator.integers(
            0, 31, self.records.shape)
        if config.block_scales:  # of either kind, as it is used
            self.row_records = rounded_reference.random_records(generator, self.records.shape)
            self.records = rounded_reference.random_records(generator, self.records.shape).view(RECORD)
        self.records["multiplier"] = generator.integers(0, 2**16, self.records.shape)
        self.records["shift"] = generator.integers(14, 45, self.records.shape)
        self.moving = generator.integers(-128, 128, (array.slabs, config.moving_depth, array.rows)).astype(np.int8)
        self.expected_moving = self.moving.copy()

        self.completions: list[tuple[int, int]] = []  # cycle, signal
        self.failures: list[tuple[Error, int]] = []
        self.chunk_cycles: list[int] = []
        self.reads = 0
        self.abort_at: int | None = None
        self.cycle = 0

    # Meaning -------------------------------------------------------------------------------------------------------

    def results(self, fields: dict[str, int]) -> np.ndarray:
        """Give the bytes of each row."""
        columns, first = fields["columns"], fields["accumulator"]
        rows = self.accumulators[fields["slab"], first:first + fields["rows"], :columns]
        if fields["output"] == Output.INT32:
            return rows.astype(np.int32).view(np.uint8)
        records = self.records[fields["parameters"]:].reshape(-1)[:columns]
        if fields["output"] in ROUNDS:
            row_records = self.row_records[fields["row_parameters"]:].reshape(-1)[:len(rows)]
            given = rows, row_records, records.view(rounded_reference.RECORD)
            wanted = {name: fields[name] for name in ("target", "mode", "relu")}
            if fields["output"] == Output.BLOCKS:
                return rounded_reference.blocks(*given, **wanted, scale_up=fields["scale_up"])
            return rounded_reference.results(*given, **wanted, saturate=fields["saturate"]).view(np.uint8)
        return requantise(rows.astype(np.int32), records, relu=bool(fields["relu"])).view(np.uint8)

    def expect(self, fields: dict[str, int]) -> None:
        """Do to the expected memories what an instruction does."""
        rows = self.results(fields)
        height = self.config.array.rows
        for number, row in enumerate(rows):
            if fields["output"] != Output.MOVING:
                start = self.unaligned + fields["memory"] + number * fields["stride"]
                self.expected[start:start + len(row)] = row
                continue
            mask, word = fields["memory"] & (1 << 30) - 1, (fields["memory"] >> 32) + number
            for segment, first in enumerate(range(0, len(row), height)):
                part = np.zeros(height, np.uint8)
                part[:len(row[first:first + height])] = row[first:first + height]
                for slab in range(self.config.array.slabs):
                    if mask << segment >> slab & 1:
                        self.expected_moving[slab, word] = part.view(np.int8)

    # Stimulus ------------------------------------------------------------------------------------------------------

    def instruction(self, output: Output, start: int = 0, word: int = 0, /, **changes: int) -> dict[str, int]:
        """Give a random legal instruction with memory rows from `start` on, or moving words from `word` on."""
        config, array, random = self.config, self.config.array, self.random
        lanes = config.drain_lanes
        columns = random.choice([array.columns, random.randint(1, array.columns)])
        fields = {"output": output, "relu": 0, "slab": random.randrange(array.slabs), "parameters": 0, "stride": 0}
        if output == Output.MOVING:
            columns = min(columns, array.slabs * array.rows)
            segments = -(-columns // array.rows)
            room = array.slabs - segments + 1
            mask = 1 << random.randrange(room)
            for slab in range(room):  # every mask whose copies do not meet
                if random.random() < 0.5 and not any(mask & 1 << other for other in range(
                        max(0, slab - segments + 1), slab + segments)):
                    mask |= 1 << slab
        most = min(9, config.accumulator_depth // 8)
        if output in ROUNDS:  # more than a word has records for
            most = min(lanes + 3, config.accumulator_depth // 2, config.parameter_depth * lanes)
        fields["rows"] = random.choice([1, 2, random.randint(1, most)])
        fields["accumulator"] = random.randint(0, config.accumulator_depth - fields["rows"])
        fields["columns"] = columns
        if output != Output.INT32:
            fields["relu"] = random.randrange(2)
            fields["parameters"] = random.randint(0, config.parameter_depth - -(-columns // lanes))
        size = 4 if output == Output.INT32 else 1
        if output in ROUNDS:
            fields["row_parameters"] = random.randint(0, config.parameter_depth - -(-fields["rows"] // lanes))
            fields["mode"] = random.randrange(4)
        if output == Output.ROUNDED:
            fields |= {"target": random.randrange(len(TARGETS)), "saturate": random.randrange(2)}
            size = TARGETS[fields["target"]].storage_bytes
        if output == Output.BLOCKS:
            fields |= {"target": random.randrange(4), "scale_up": random.randrange(2)}
        if output == Output.MOVING:
            fields["memory"] = word << 32 | mask
        else:
            width = columns * size + (1 + -(-columns // 32) if output == Output.BLOCKS else 0)
            fields["memory"] = start + random.choice([0, random.randrange(64)])
            fields["stride"] = width + random.choice([0, 0, random.randrange(40)])
        return fields | changes

    def program(self, count: int) -> list[dict[str, int]]:
        """Give random legal instructions whose results do not meet."""
        program, memory, word = [], 0, 0
        for _ in range(count):
            fields = self.instruction(self.random.choice(self.outputs), memory, word)
            if fields["output"] == Output.MOVING:
                word += fields["rows"]
            else:
                memory = fields["memory"] + fields["rows"] * fields["stride"]
                assert memory <= self.window
            program.append(fields)
        return program

    # Run -----------------------------------------------------------------------------------------------------------

    def run(self, program: list[dict[str, int]], *, cycles: int = 20000, then: object = None) -> "DrainBench":
        """Run until all is done; `then`, an async function of the context, follows."""

        async def bench(ctx) -> None:  # noqa: ANN001
            await self.write_parameters(ctx)
            await self.execute(ctx, program, cycles)
            if then is not None:
                await then(ctx)

        simulator = Simulator(ResetInserter(self.reset)(self.dut))
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
        return self

    async def write_parameters(self, ctx) -> None:  # noqa: ANN001
        ctx.set(self.dut.window.base, self.base)
        ctx.set(self.dut.window.size, self.window)
        memories = [(self.dut.parameters, self.records)]
        if self.config.block_scales:
            memories.append((self.dut.row_parameters, self.row_records))
        for port, records in memories:
            ctx.set(port.enable, 1)
            for address, word in enumerate(records):
                ctx.set(port.address, address)
                ctx.set(port.data, int.from_bytes(word.tobytes(), "little"))
                await ctx.tick()
            ctx.set(port.enable, 0)

    async def recover(self, ctx) -> None:  # noqa: ANN001
        """Reset the unit, and start to expect from what is in the memories now."""
        for signal, value in [(self.dut.unit.abort, 0), (self.dut.unit.command.valid, 0), (self.reset, 1)]:
            ctx.set(signal, value)
        await ctx.tick()
        ctx.set(self.reset, 0)
        self.abort_at = None
        self.failures.clear()
        self.completions.clear()
        self.expected = self.memory.bytes.copy()
        self.expected_moving = self.moving.copy()

    async def execute(self, ctx, program: list[dict[str, int]], cycles: int) -> None:  # noqa: ANN001
        """Step every model once per cycle, until the unit is idle."""
        dut, unit, config = self.dut, self.dut.unit, self.config
        schedule: dict[int, list[tuple[object, int]]] = defaultdict(list)
        standing: list[object] = []
        held_chunk = None
        sent = done = 0
        quiet = 0
        mask = (1 << config.accumulator_bits) - 1
        reads = [(read.valid, read.ready, read.address, read.group) for read in dut.read]
        chunk = dut.chunks
        sampled = [
            unit.command.valid, unit.command.ready, unit.complete.valid, unit.complete.signal,
            unit.failure.valid, unit.failure.code, unit.failure.index, unit.busy,
            chunk.valid, chunk.ready, chunk.payload.as_value(),
            *(signal for read in reads for signal in read), *self.memory.signals(),
        ]  # fmt: skip
        for _ in range(cycles):
            _, _, *values = await ctx.tick().sample(*sampled)
            (command_valid, command_ready, complete, signal, failed, code, index, busy,
             chunk_valid, chunk_ready, chunk_value, *rest) = values  # fmt: skip
            cycle = self.cycle = self.cycle + 1

            # Instructions.
            if command_valid and command_ready:
                sent += 1
            offer = sent < len(program) and ((command_valid and not command_ready) or self.random.random() < 0.8)
            ctx.set(unit.command.valid, offer)
            if offer:
                fields = program[sent]
                ctx.set(unit.command.payload, {"instruction": {"signal": sent + 1, **fields}, "index": 100 + sent})
            if complete:
                assert not self.failures
                assert signal == done + 1
                self.completions.append((cycle, signal))
                self.finish(program[done], cycle)
                done += 1
            if failed:
                self.failures.append((Error(code), index))

            # Accumulators.
            for number, read in enumerate(dut.read):
                valid, ready, address, group = rest[4 * number:4 * number + 4]
                if valid and ready:
                    self.reads += 1
                    first = group * config.read_columns
                    row = self.accumulators[number, address]
                    for i in range(min(config.read_columns, config.array.columns - first)):
                        # Sampled in cycle `cycle - 1`, so that now is one cycle after the request.
                        schedule[cycle - 1 + READ_LATENCY + i].append((read.data[i], int(row[first + i]) & mask))
                parity = ctx.get(read.address) & self.read_parity
                ctx.set(read.ready, self.read_ready[number](cycle + parity))
            for signal_ in standing:
                ctx.set(signal_, 0)
            standing = [signal_ for signal_, _ in schedule[cycle]]
            for signal_, value in schedule.pop(cycle):
                ctx.set(signal_, value)

            # Chunks.
            if held_chunk is not None:
                assert chunk_valid
                assert chunk_value == held_chunk
            held_chunk = chunk_value if chunk_valid and not chunk_ready else None
            if chunk_valid and chunk_ready:
                self.take_chunk(chunk.payload.shape().from_bits(chunk_value), cycle)
            ctx.set(chunk.ready, self.chunk_ready(cycle))

            self.memory.step(ctx, cycle, rest[4 * len(reads):])
            if cycle == self.abort_at:
                ctx.set(unit.abort, 1)

            stopping = self.failures or (self.abort_at is not None and cycle > self.abort_at)
            quiet = quiet + 1 if (sent == len(program) or stopping) and not busy else 0
            if not stopping and not busy and not (command_valid and command_ready):
                assert done == sent, "not busy, but not complete"
            if quiet == 20:
                assert self.memory.idle, "not busy, but the bus is not at rest"
                return
        raise AssertionError("does not end")

    def take_chunk(self, chunk, cycle: int) -> None:  # noqa: ANN001
        self.chunk_cycles.append(cycle)
        array = self.config.array
        assert chunk.destination == 0
        for j in range(self.config.segments):
            part = np.frombuffer(
                (chunk.data >> (8 * j * array.rows)).to_bytes(1 << 12, "little")[:array.rows], np.int8)
            for slab in range(array.slabs):
                if chunk.slabs[j] >> slab & 1:
                    self.moving[slab, chunk.address] = part

    def finish(self, fields: dict[str, int], cycle: int) -> None:
        """At an instruction's completion all that it writes is written."""
        self.expect(fields)
        if fields["output"] == Output.MOVING:
            assert cycle >= self.chunk_cycles[-1] + WRITE_LATENCY or fields["rows"] == 0
            words = slice(fields["memory"] >> 32, (fields["memory"] >> 32) + fields["rows"])
            assert (self.moving[:, words] == self.expected_moving[:, words]).all()
        else:
            start = self.unaligned + fields["memory"]
            rows = slice(start, start + fields["rows"] * fields["stride"])
            assert (self.memory.bytes[rows] == self.expected[rows]).all()

    def check(self) -> None:
        """Every byte is as numpy says, the untouched ones too."""
        assert not self.failures
        np.testing.assert_array_equal(self.memory.bytes, self.expected)
        np.testing.assert_array_equal(self.moving, self.expected_moving)
