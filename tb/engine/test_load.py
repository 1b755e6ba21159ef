"""LOAD with its read master, against numpy: bytes, elements, scales, errors, the order of completions, and cycles."""

from dataclasses import replace
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect

from cleave.config import EngineConfig
from cleave.engine.axi_read import AxiRead
from cleave.engine.isa import Destination, Error
from cleave.engine.load import Load
from tb.engine.load_reference import (
    Banks,
    Fields,
    destinations,
    empty_banks,
    errors,
    lower_scales,
    random_any,
    random_legal,
    rows_below_anchors,
    scale_places,
    write,
    write_chunk,
)
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

    def run(self, loads: list[Fields], limit: int = 4000, abort: int | None = None) -> None:
        """Run instructions until all are complete, or one has failed, or they are aborted, and the unit stays quiet."""
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
                ctx.set(unit.abort, cycle == abort)
                _, _, done, signal, failed, code, index, busy = await ctx.tick().sample(
                    unit.complete.valid, unit.complete.signal,
                    unit.failure.valid, unit.failure.code, unit.failure.index, unit.busy,
                )
                if done:
                    self.completed.append((cycle, signal))
                    assert busy
                if failed:
                    self.failed.append((Error(code), index))
                ended = self.failed or len(self.completed) == len(loads) or (abort is not None and cycle > abort)
                quiet = quiet + 1 if ended and not busy else 0
                if quiet == 50:
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
        self.check_banks(expected)

    def check_banks(self, expected: Banks) -> None:
        """Check what the banks hold."""
        for name, bank in expected.items():
            assert (self.banks[name] == bank).all(), name


STALLS = {
    "smooth": Stalls(latency=20),
    "rough": Stalls(0.4, 0.4, 0.4, 3),
    "slow bus": Stalls(0.7, 0.7, 0, 1),
    "slow banks": Stalls(user=0.8),
}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name", CONFIGS)
def test_writes_what_numpy_says(name: str, stalls: str, seed: int) -> None:
    rng = Random(seed)
    bench = Bench(CONFIGS[name], rng, STALLS[stalls])
    loads = [random_legal(bench.config, rng, SIZE) for _ in range(4 * len(destinations(bench.config)))]
    bench.memory.content = lower_scales(loads, bench.memory.content)
    bench.run(loads, limit=20000)
    bench.check(loads)


LEGAL = {
    "destination": 0, "element": 0, "slabs": 1, "address": 0, "rows": 2, "row_bytes": 8, "memory": 64, "stride": 8, "fold": 0,
    "step": 0, "signal": 5,
}
MOVING, STATIONARY, PARAMETERS = ({"destination": destination} for destination in range(3))
ROW_PARAMETERS = {"destination": int(Destination.ROW_PARAMETERS), "slabs": 0}
MOVING_SCALES = {"destination": int(Destination.MOVING_SCALES), "row_bytes": 5}
STATIONARY_SCALES = {"destination": int(Destination.STATIONARY_SCALES), "row_bytes": 16}
ILLEGAL = {
    "row parameters": ROW_PARAMETERS,
    "moving scales": MOVING_SCALES,
    "stationary scales": STATIONARY_SCALES,
    "destination 6": {"destination": 6},
    "destination 7": {"destination": 7},
    "element": {"element": 1},
    "element, stationary": STATIONARY | {"element": 2},
    "no rows": {"rows": 0},
    "no bytes": {"row_bytes": 0},
    "no slab": {"slabs": 0},
    "no slab, stationary": STATIONARY | {"slabs": 0},
    "slab 4": {"slabs": 1 << 4},
    "slab 29": {"slabs": 1 | 1 << 29},
    "slabs of parameters": PARAMETERS,
    "slab 4, stationary": STATIONARY | {"slabs": 1 << 4},
    "fold of parameters": PARAMETERS | {"slabs": 0, "fold": 1},
    "step of parameters": PARAMETERS | {"slabs": 0, "step": 1 << 14},
    "segment past the last slab": {"slabs": 0b100, "row_bytes": 17},
    "segment far past the last slab": {"slabs": 0b1000, "row_bytes": 5000},
    "segments meet in one write": {"slabs": 0b11, "row_bytes": 9},
    "segments meet in different writes": {"slabs": 0b101, "row_bytes": 17},
    "segment past the last slab, stationary": STATIONARY | {"slabs": 0b1000, "row_bytes": 17},
    "segments meet, stationary": STATIONARY | {"slabs": 0b101, "row_bytes": 33},
    "fold past the last slab": {"slabs": 0b100, "row_bytes": 80, "fold": 3},
    "fold past the last slab, stationary": STATIONARY | {"slabs": 0b1000, "row_bytes": 80, "fold": 2},
    "segments of a fold meet": {"slabs": 0b101, "row_bytes": 80, "fold": 3},
    "segments of a fold meet, stationary": STATIONARY | {"slabs": 0b11, "row_bytes": 80, "fold": 2},
    "longest fold": {"row_bytes": 300, "fold": 31},
}
BANK_RANGE = {
    "moving": {"address": 1023},
    "moving, far": {"address": 0xFFFF},
    "stationary": STATIONARY | {"address": 1017, "rows": 8},
    "fold": {"address": 1020, "row_bytes": 64, "fold": 4, "step": 4},
    "fold, of the last row": {"address": 1001, "row_bytes": 64, "fold": 1, "rows": 3, "step": 3, "stride": 64},
    "tile": STATIONARY | {"address": 1009, "rows": 9, "step": 15},
    "folded rows of a tile": STATIONARY | {"address": 1020, "rows": 1, "row_bytes": 80, "fold": 1},
    "folded rows of the next tile": STATIONARY | {"address": 1016, "rows": 2, "row_bytes": 80, "fold": 1, "step": 8},
    "parameters": PARAMETERS | {"slabs": 0, "address": 63},
    "parameters, in a row": PARAMETERS | {"slabs": 0, "address": 60, "rows": 1, "row_bytes": 129},
}
DEEP_BANK_RANGE = {
    "farthest fold": {"address": 2**15 - 1, "rows": 1, "row_bytes": 80, "fold": 1, "step": 2**15 - 1},
    "fold one word past": {"address": 2**15 - 2, "rows": 1, "row_bytes": 24, "fold": 1, "step": 1},
    "farthest tile": STATIONARY | {"address": 2**15 - 8, "rows": 24, "step": 2**15 - 1},
}
STACKED_BANK_RANGE = {
    "next word": {"address": 1023, "row_bytes": 40},
    "next word, of the second row": {"address": 1023, "rows": 2, "row_bytes": 24},
    "next tile": {"address": 1000, "row_bytes": 136, "step": 24},
}
SCALED_ILLEGAL = {
    "destination 6": {"destination": 6},
    "destination 7": {"destination": 7},
    "elements of parameters": PARAMETERS | {"slabs": 0, "element": 1},
    "elements of row parameters": ROW_PARAMETERS | {"element": 2},
    "elements of moving scales": MOVING_SCALES | {"element": 1},
    "elements of stationary scales": STATIONARY_SCALES | {"element": 3},
    "slabs of row parameters": ROW_PARAMETERS | {"slabs": 1},
    "fold of row parameters": ROW_PARAMETERS | {"fold": 16},
    "fold of moving scales": MOVING_SCALES | {"fold": 2},
    "step of moving scales": MOVING_SCALES | {"step": 1},
    "fold of stationary scales": STATIONARY_SCALES | {"fold": 1},
    "step of stationary scales": STATIONARY_SCALES | {"step": 4},
    "anchor alone": MOVING_SCALES | {"row_bytes": 1},
    "more scales than slabs": MOVING_SCALES | {"row_bytes": 6},
    "no slab, moving scales": MOVING_SCALES | {"slabs": 0},
    "slab 4, moving scales": MOVING_SCALES | {"row_bytes": 2, "slabs": 1 << 4},
    "scale past the last slab": MOVING_SCALES | {"slabs": 0b10},
    "scales meet": MOVING_SCALES | {"row_bytes": 3, "slabs": 0b11},
    "scales meet further south": MOVING_SCALES | {"row_bytes": 4, "slabs": 0b101},
    "anchors alone": STATIONARY_SCALES | {"rows": 1},
    "long row of stationary scales": STATIONARY_SCALES | {"row_bytes": 17},
    "no slab, stationary scales": STATIONARY_SCALES | {"slabs": 0},
    "slab 4, stationary scales": STATIONARY_SCALES | {"slabs": 1 << 4},
    "tile of scales past the last slab": STATIONARY_SCALES | {"rows": 3, "slabs": 0b1000},
    "tiles of scales meet": STATIONARY_SCALES | {"rows": 3, "slabs": 0b11},
}
SCALED_BANK_RANGE = {
    "row parameters": ROW_PARAMETERS | {"address": 63},
    "moving scales": MOVING_SCALES | {"address": 1023},
    "stationary scales": STATIONARY_SCALES | {"address": 1024, "rows": 5},
}
WINDOW = {
    "second row": {"memory": SIZE - 15},
    "first row": {"memory": SIZE - 7},
    "end of the offsets": {"memory": 2**48 - 1},
    "long stride": {"stride": 2**32 - 1},
}
ENGINES = CONFIGS | {"deep": replace(CONFIGS["default"], moving_depth=2**15, stationary_depth=2**15)}
ERRORS = [
    pytest.param(config, code, fields, id=f"{config}, {code.name}: {name}")
    for config, code, cases in (
        ("default", Error.ILLEGAL_INSTRUCTION, ILLEGAL), ("default", Error.BANK_RANGE, BANK_RANGE),
        ("default", Error.WINDOW, WINDOW), ("deep", Error.BANK_RANGE, DEEP_BANK_RANGE),
        ("scaled", Error.ILLEGAL_INSTRUCTION, SCALED_ILLEGAL), ("scaled", Error.BANK_RANGE, SCALED_BANK_RANGE),
        ("whole_word", Error.BANK_RANGE, {name: STATIONARY | {"fold": 1} | case for name, case in STACKED_BANK_RANGE.items()}),
    )
    for name, fields in cases.items()
]


@pytest.mark.parametrize(("config", "code", "fields"), ERRORS)
def test_reports(config: str, code: Error, fields: Fields, seed: int) -> None:
    """The second of three instructions has one error: the first is done, and nothing after it is asked for."""
    bench = Bench(ENGINES[config], Random(seed), Stalls(latency=4))
    bench.memory.content = bytes(SIZE)  # no scale above an anchor
    bad = LEGAL | fields
    assert errors(bench.config, bad, bench.base, SIZE) == {code}
    # The first instruction is long enough to be still running.
    first = LEGAL | {"slabs": 1 << bench.config.array.slabs - 1, "rows": 200, "memory": 16}
    bench.run([first, bad, LEGAL])
    assert bench.failed == [(code, 1001)]
    used, width = set(), bench.config.axi_bytes  # bus words
    for load in (first, bad):
        for start in (bench.base + load["memory"] + r * load["stride"] for r in range(load["rows"])):
            used |= set(range(start // width, (start + load["row_bytes"] - 1) // width + 1))
    for burst in bench.memory.bursts:
        assert used.issuperset(range(burst.address // width, burst.address // width + burst.beats))


def test_window_to_its_last_byte(seed: int) -> None:
    bench = Bench(CONFIGS["odd"], Random(seed), Stalls())
    loads = [LEGAL | {"memory": SIZE - 16}, LEGAL | {"memory": SIZE - 8, "stride": 0}]
    bench.run(loads)
    bench.check(loads)


@pytest.mark.parametrize("past", [0, 1])
def test_last_byte_of_the_address_space(past: int, seed: int) -> None:
    config = CONFIGS["wide_bus"]
    bench = Bench(config, Random(seed), Stalls(), base=2**config.axi_address_width - 1000 + past)
    loads = [LEGAL | {"memory": 984, "row_bytes": 6}, LEGAL | {"memory": 984}]
    bench.run(loads)
    if past:
        assert bench.failed == [(Error.WINDOW, 1001)]
    else:
        bench.check(loads)


@pytest.mark.parametrize("name", CONFIGS)
def test_reports_what_the_instruction_set_says(name: str, seed: int) -> None:
    """Random instructions, most of them with an error somewhere."""
    rng = Random(seed)
    config = CONFIGS[name]
    for _ in range(8):
        bench = Bench(config, rng, Stalls(0.2, 0.2, 0.2))
        load = random_any(config, rng, SIZE) | ({"memory": rng.randrange(2 * SIZE)} if rng.random() < 0.2 else {})
        print(load)
        if rng.random() < 0.7 and not errors(config, load, bench.base, SIZE):
            bench.memory.content = lower_scales([load], bench.memory.content)
        expected = errors(config, load, bench.base, SIZE)
        if rows_below_anchors(load, bench.memory.content) < load["rows"]:
            expected.add(Error.SCALE)
        bench.run([load])
        if expected:
            assert [index for _, index in bench.failed] == [1000]
            assert bench.failed[0][0] in expected
            assert not bench.completed
        else:
            bench.check([load])


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name", ["tiny", "odd", "wide_bus", "whole_word", "scaled_load_rows", "scaled_part_of_word"])
def test_bus_error_names_its_instruction(name: str, stalls: str, seed: int) -> None:
    rng = Random(seed)
    for _ in range(4):
        bench = Bench(CONFIGS[name], rng, STALLS[stalls])
        loads = [random_legal(bench.config, rng, SIZE, largest=6) for _ in range(6)]
        width = bench.config.axi_bytes
        victim = rng.choice(loads)
        error = bench.base + victim["memory"] + rng.randrange(victim["row_bytes"])
        bench.memory.errors.add(error - error % width)
        touched = [
            index for index, load in enumerate(loads)
            for start in (bench.base + load["memory"] + r * load["stride"] for r in range(load["rows"]))
            if start // width <= error // width <= (start + load["row_bytes"] - 1) // width
        ]
        bench.memory.content = lower_scales(loads, bench.memory.content)
        bench.run(loads)
        assert bench.failed == [(Error.AXI_READ, 1000 + touched[0])]
        assert [signal for _, signal in bench.completed] == [load["signal"] for load in loads[:touched[0]]]


SCALED = [name for name, config in CONFIGS.items() if config.block_scales]
SCALES = [Destination.MOVING_SCALES, Destination.STATIONARY_SCALES]


@pytest.mark.parametrize("row", ["first", "middle", "last"])
@pytest.mark.parametrize("destination", SCALES)
@pytest.mark.parametrize("name", SCALED)
def test_scale_above_its_anchor(name: str, destination: Destination, row: str, seed: int) -> None:
    """Rows before the one with the scale are written, whatever stalls; it is not, and nothing after it."""
    rng = Random(seed)
    config = CONFIGS[name]
    array, half = config.array, SIZE // 2
    rows = 1 + array.slabs
    row_bytes = rows if destination == Destination.MOVING_SCALES else array.columns
    victim = {"first": int(destination == Destination.STATIONARY_SCALES), "middle": rows // 2, "last": rows - 1}[row]
    for stalls in (STALLS["smooth"], STALLS["slow banks"]):
        bench = Bench(config, rng, stalls)
        before, after = ([random_legal(config, rng, half, largest=6) for _ in range(3)] for _ in range(2))
        bad = LEGAL | {
            "destination": int(destination), "rows": rows, "row_bytes": row_bytes, "stride": row_bytes,
            "memory": half + rng.randrange(half - rows * row_bytes),
        }
        window = bytearray(lower_scales([*before, bad, *after], bytes(min(byte, 254) for byte in bench.memory.content)))
        anchor, scale = rng.choice(scale_places(bad)[victim])
        window[scale] = rng.choice([window[anchor] + 1, 255])
        bench.memory.content = bytes(window)
        assert rows_below_anchors(bad, window) == victim
        bench.run([*before, bad, *after])
        assert bench.failed == [(Error.SCALE, 1003)]
        assert [signal for _, signal in bench.completed] == [load["signal"] for load in before]
        expected = empty_banks(config)
        for load in [*before, bad | {"rows": victim}]:
            write(config, expected, load, window)
        bench.check_banks(expected)


@pytest.mark.parametrize("stalls", STALLS)
def test_abort_finishes_what_is_on_the_bus(stalls: str, seed: int) -> None:
    """At most the burst that already stands on AR starts after the abort, every beat is answered, and quiet follows."""
    rng = Random(seed)
    for _ in range(6):
        bench = Bench(CONFIGS["default"], rng, STALLS[stalls])
        loads = [random_legal(bench.config, rng, SIZE) for _ in range(10)]
        loads += [LEGAL | {"rows": 200, "row_bytes": 32}] * 3
        abort = rng.randrange(1, 250)
        bench.run(loads, abort=abort)
        assert not bench.failed
        assert len(bench.completed) < len(loads)
        assert len([burst for burst in bench.memory.bursts if burst.cycle > abort]) <= 1


def test_completes_in_the_cycle_after_the_last_chunk(seed: int) -> None:
    bench = Bench(CONFIGS["default"], Random(seed), Stalls(user=0.5))
    bench.run([LEGAL])
    assert bench.completed == [(bench.chunks[-1] + 1, 5)]


def test_long_rows_fill_the_bus(seed: int) -> None:
    """At least 98 % of a beat per cycle, in each of several instructions and between them."""
    bench = Bench(CONFIGS["default"], Random(seed), Stalls(latency=40), base=0)
    long = {"rows": 40, "row_bytes": 32, "stride": 32}
    loads = [LEGAL | long | {"address": 40 * i, "memory": 1280 * i} for i in range(4)]
    loads += [PARAMETERS | {
        "slabs": 0, "address": 0, "rows": 1, "row_bytes": 2048, "memory": 16 * i, "stride": 0, "signal": 0,
    } for i in range(4)]
    bench.run(loads)
    bench.check(loads)
    beats = bench.memory.beat_cycles
    assert len(beats) == 4 * 80 + 4 * 128
    assert (len(beats) - 1) / (beats[-1] - beats[0]) >= 0.98


@pytest.mark.parametrize("name", ["default", "scaled"])
@pytest.mark.parametrize("fields", [MOVING, STATIONARY], ids=["moving", "stationary"])
@pytest.mark.parametrize("misaligned", [0, 5])
def test_short_rows_come_one_per_cycle(name: str, fields: Fields, misaligned: int, seed: int) -> None:
    """Rows of a beat's size, a stride apart, from instructions of 8 rows; each misaligned row costs its second beat."""
    bench = Bench(CONFIGS[name], Random(seed), Stalls(latency=25), base=0)
    loads = [
        LEGAL | fields | {"rows": 8, "row_bytes": 16, "stride": 48, "address": 8 * i, "memory": 384 * i + misaligned}
        for i in range(12)
    ]
    bench.run(loads)
    bench.check(loads)
    chunks = bench.chunks
    assert chunks[-1] - chunks[0] == (12 * 8 - 1) * (2 if misaligned else 1)


FOLDS = {  # fields, chunks of each row
    "all slabs": (STATIONARY | {"row_bytes": 64}, 1),
    "part of the last slab": (STATIONARY | {"row_bytes": 57}, 1),
    "as many as a chunk": (STATIONARY | {"row_bytes": 64, "fold": 4}, 1),
    "no more than there are": (STATIONARY | {"row_bytes": 48, "fold": 31}, 1),
    "one slab": (STATIONARY | {"row_bytes": 64, "fold": 1}, 4),
    "two slabs": (STATIONARY | {"row_bytes": 64, "fold": 2}, 2),
    "three slabs": (STATIONARY | {"row_bytes": 56, "fold": 3}, 2),
    "moving, all slabs": ({"row_bytes": 32}, 1),
    "moving, a fold of two beats": ({"row_bytes": 128, "fold": 4, "step": 100}, 4),
    "moving, three slabs": ({"row_bytes": 63, "fold": 3, "step": 100}, 3),
    "moving, one slab": ({"row_bytes": 64, "fold": 1, "step": 100}, 8),
    "moving, all in one word": ({"row_bytes": 64, "fold": 1, "step": 0}, 8),
}


@pytest.mark.parametrize("case", FOLDS)
def test_chunks_end_at_folds_only(case: str, seed: int) -> None:
    """A beat for four slabs is written in one cycle, and each fold costs no more than its own chunks."""
    bench = Bench(CONFIGS["full_beat"], Random(seed), Stalls(latency=25), base=0)
    fields, chunks = FOLDS[case]
    loads = [LEGAL | fields | {"rows": 8, "stride": 128, "address": 8 * i, "memory": 64 * i} for i in range(12)]
    bench.run(loads)
    bench.check(loads)
    assert len(bench.chunks) == 96 * chunks
    assert bench.chunks[-1] - bench.chunks[0] == 96 * chunks - 1


STACKS = {  # engine, fields, chunks of an instruction
    "whole words": ("whole_word", {"row_bytes": 64, "rows": 4}, 4 * 2),
    "a whole tile": ("whole_word", {"row_bytes": 128, "rows": 1}, 4),
    "a tile and the next one's first row": ("whole_word", {"row_bytes": 130, "rows": 1, "step": 8}, 5),
    "rows of a word from two memory rows": ("whole_word", {"row_bytes": 48, "rows": 2}, 2 + 2),
    "parts 0, 1, 2, and 3, 0, 1": ("whole_word", {"row_bytes": 24, "rows": 2}, 1 + 2),
    "part of the last row": ("whole_word", {"row_bytes": 57, "rows": 2}, 2 + 2),
    "one row": ("whole_word", {"row_bytes": 8, "rows": 8}, 8),
    "no fold": ("whole_word", {"row_bytes": 8, "rows": 8, "fold": 0}, 8),
    "three rows in a cycle": ("scaled_part_of_word", {"row_bytes": 80, "rows": 1}, 4),
    "three rows in a cycle, from part 2 on": ("scaled_part_of_word", {"row_bytes": 60, "rows": 2}, (1 + 1 + 1) + (1 + 1 + 1)),
    "two slabs at once": ("scaled_part_of_word", {"row_bytes": 80, "rows": 1, "slabs": 3}, 4),
    "two slabs side by side": ("scaled_part_of_word", {"row_bytes": 80, "rows": 1, "fold": 2}, 4),
    "as many as a word has": ("load_rows", {"row_bytes": 40, "rows": 1}, 4),
}


@pytest.mark.parametrize("case", STACKS)
def test_rows_of_a_word_come_in_one_cycle(case: str, seed: int) -> None:
    """A chunk goes on to the end of the memory row or the word, or as far as a beat goes, and none costs more than a cycle."""
    name, fields, chunks = STACKS[case]
    bench = Bench(CONFIGS[name], Random(seed), Stalls(latency=10), base=0)
    loads = [LEGAL | STATIONARY | {"fold": 1, "stride": 256, "address": i % 12, "memory": 32 * i} | fields for i in range(24)]
    bench.run(loads)
    bench.check(loads)
    assert len(bench.chunks) == 24 * chunks
    assert bench.chunks[-1] - bench.chunks[0] == 24 * chunks - 1


@pytest.mark.parametrize("fields", [MOVING_SCALES, STATIONARY_SCALES], ids=["moving", "stationary"])
def test_scales_come_one_row_per_cycle(fields: Fields, seed: int) -> None:
    """As short rows; anchors take a cycle without a chunk."""
    bench = Bench(CONFIGS["scaled"], Random(seed), Stalls(latency=25), base=0)
    loads = [LEGAL | fields | {"rows": 5, "stride": 48, "address": 8 * i, "memory": 384 * i} for i in range(12)]
    bench.memory.content = lower_scales(loads, bench.memory.content)
    bench.run(loads)
    bench.check(loads)
    anchors = fields is STATIONARY_SCALES
    assert len(bench.chunks) == 12 * (5 - anchors)
    assert bench.chunks[-1] - bench.chunks[0] == 12 * 5 - 1 - anchors


def test_single_row_instructions_come_one_per_cycle(seed: int) -> None:
    bench = Bench(CONFIGS["default"], Random(seed), Stalls(), base=0)
    loads = [LEGAL | {"rows": 1, "address": i, "memory": 48 * i} for i in range(40)]
    bench.run(loads)
    bench.check(loads)
    assert bench.chunks[-1] - bench.chunks[0] == len(loads) - 1
