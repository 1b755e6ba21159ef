"""The sequencers of a stack of slabs, against the timing contract: every token in its cycle, neither late nor early."""

from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.isa import Counter, Error
from cleave.engine.sequencer import Sequencer

ARRAYS = {
    "two_cycles_a_tile": ArrayConfig(slabs=3, rows=8, columns=2, dot=4, load_rows=4),
    "textbook": ArrayConfig(slabs=4, rows=4, columns=2, dot=1),
    "long_tiles": ArrayConfig(slabs=3, rows=8, columns=2, dot=4, load_rows=1),
    "one_slab": ArrayConfig(slabs=1, rows=6, columns=2, dot=2, load_rows=2),
}
CONFIGS = {
    name: EngineConfig(array, moving_depth=64, stationary_depth=64, accumulator_depth=12).plain()
    for name, array in ARRAYS.items()
}
CONFIGS |= {f"scaled_{name}": replace(CONFIGS[name], block_scales=True) for name in ("textbook", "one_slab")}
CONFIGS |= {
    f"lanes_{name}": replace(CONFIGS[name], array=replace(CONFIGS[name].array, stationary_bits=4))
    for name in ("long_tiles", "scaled_one_slab")
}


@dataclass
class Matmul:
    """A MATMUL, the cycle in which it is in its slabs' queues, and the one from which on it need not wait."""

    first: int
    count: int
    fields: dict[str, int]
    arrives: int = 0
    tokens: int = 0
    wait: int = 0

    def command(self, slab: int, index: int) -> dict[str, int]:
        place = {"offset": slab - self.first, "below": self.first + self.count - 1 - slab}
        return {**self.fields, **place, "wait": self.wait, "index": index}


@dataclass
class Event:
    """A token that reaches a slab."""

    cycle: int
    slab: int
    kind: str
    fields: dict[str, int]


@dataclass
class SlabState:
    """What the contract says of one slab, in cycles at that slab."""

    head: int = 0  # first cycle in which its next instruction is at its queue's head
    load: int = 0  # first cycle of the next load
    start: int = 0  # first cycle of the next start
    last_row: int = -1000  # cycle of the last pass's last row
    tail: int = 0  # its accumulator row


def schedule(config: EngineConfig, program: list[Matmul]) -> list[Event]:
    """Give the earliest tokens that the contract allows, pass by pass."""
    array = config.array
    ahead = 2 + array.lanes - 1  # cycles from a start's decision to the slab
    slabs = [SlabState() for _ in range(array.slabs)]
    events = []
    for matmul in program:
        fields, rows = matmul.fields, matmul.fields["rows"]
        members = [(offset, slabs[matmul.first + offset]) for offset in range(matmul.count)]
        for number in range(fields["passes"]):
            # Decided in cycle u, the load reaches the slab at `offset` in u + 1 + offset; a start in t + ahead + offset.
            u = max(matmul.arrives, matmul.tokens, *(max(s.head, s.load - 1 - o) for o, s in members))
            t = u + max(1, array.load_cycles - array.cells + 1)
            t = max(t, *(s.start - ahead - o for o, s in members))
            accumulator = fields["accumulator"] + number * fields["accumulator_step"]
            last_slab = members[-1][1]
            if fields["accumulate_rest" if number else "accumulate_first"]:
                # A sum can be read 3 cycles after its row; rows of both passes follow each other cycle by cycle.
                distance = last_slab.tail - accumulator
                if 0 <= distance < 2:
                    t = max(t, last_slab.last_row + 3 - distance - (ahead + matmul.count - 1))
            last = number == fields["passes"] - 1
            moving = fields["moving"] + number * fields["moving_step"]
            stationary = fields["stationary"] + number * fields["stationary_step"]
            below = matmul.count - 1
            scales = {name: fields[name] for name in ("scaled", "shift")} if config.block_scales else {}
            pairs = fields.get("pairs", 0)
            scale_words = scales.get("scaled", 0) * (2 if pairs else 1)
            kinds, paired = ({"pairs": pairs}, {"paired": int(pairs > 0)}) if array.lanes > 1 else ({}, {})
            events += [
                Event(u + 1, matmul.first, "load", {
                    "address": stationary, "below": below, **kinds, **({"scaled": scales["scaled"]} if scales else {}),
                }),
                Event(t + ahead, matmul.first, "start", {
                    "rows": rows, "moving": moving, "accumulator": accumulator, "fused": 0, "below": below,
                    "accumulate": fields["accumulate_rest" if number else "accumulate_first"],
                    "signal": fields["signal"] if last else 0,
                    "row_macs": fields["last_row_macs" if last else "row_macs"], **paired, **scales,
                }),
            ]  # fmt: skip
            for offset, slab in members:
                # A tile's words wait at the columns' heads as long as its start does, so that loads do not wait for that.
                slab.load = max(u + 1 + offset + array.load_cycles + scale_words, t + 2 + offset)
                slab.start = t + ahead + offset + rows
                slab.last_row, slab.tail = slab.start - 1, accumulator + rows - 1
        for _, slab in members:
            slab.head = t + 1
    return sorted(events, key=lambda event: (event.cycle, event.slab, event.kind))


def random_program(config: EngineConfig, rng: Random, length: int, *, wait: bool) -> list[Matmul]:
    slabs, depth = config.array.slabs, config.accumulator_depth
    program = []
    arrives = 0
    for _ in range(length):
        first = rng.randrange(slabs)
        rows = rng.choice([1, 1, 2, 2, 3, 4, 7])
        passes = rng.choice([1, 1, 2, 3, 5])
        step = rng.choice([0, 0, 0, 1, 2])
        step = min(step, (depth - rows) // passes)
        fields = {
            "rows": rows, "passes": passes, "accumulator": rng.randrange(depth - rows - step * (passes - 1) + 1),
            "accumulator_step": step, "moving": rng.randrange(8), "moving_step": rng.randrange(8),
            "stationary": rng.randrange(8), "stationary_step": rng.randrange(8),
            "accumulate_first": rng.randrange(2), "accumulate_rest": rng.randrange(2),
            "signal": rng.randrange(4), "row_macs": rng.randrange(2**20), "last_row_macs": rng.randrange(2**20),
        }  # fmt: skip
        if config.block_scales:
            fields |= {"scaled": rng.randrange(2), "shift": rng.randrange(1 << config.shift_bits)}
        if config.array.lanes > 1:
            fields |= {"pairs": rng.randrange(3)}
        arrives += rng.choice([0, 0, 0, 0, 1, 5, 40]) if wait else 0
        tokens = arrives + rng.choice([0, 0, 3, 20, 60]) if wait else 0
        program.append(Matmul(first, rng.randint(1, slabs - first), fields, arrives, tokens, wait=rng.randint(1, 3)))
    return program


class Stack:
    """Sequencers on top of each other, and everything they show, cycle by cycle."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.slabs = range(config.array.slabs)
        self.events: list[Event] = []
        self.causes: list[list[Counter]] = []
        self.failures: list[tuple[int, int, Error, int]] = []  # cycle, slab, code, index
        self.busy: list[bool] = []

    def run(self, program: list[Matmul], cycles: int, abort: int | None = None) -> "Stack":
        m = Module()
        sequencers = [Sequencer(self.config) for _ in self.slabs]
        for s, sequencer in enumerate(sequencers):
            m.submodules[f"sequencer_{s}"] = sequencer
        for north, south in pairwise(sequencers):
            connect(m, south.to_north, north.from_south)
            connect(m, north.to_south, south.from_north)
        queues = [
            [(i, matmul) for i, matmul in enumerate(program) if 0 <= s - matmul.first < matmul.count]
            for s in self.slabs
        ]

        async def bench(ctx) -> None:  # noqa: ANN001
            shown: list[tuple | None] = [None for _ in self.slabs]
            for cycle in range(cycles):
                for s, sequencer in enumerate(sequencers):
                    head = queues[s][0] if queues[s] and queues[s][0][1].arrives <= cycle else None
                    waits = head[1].wait if head and cycle < head[1].tokens and head[1].first == s else 0
                    if shown[s] != (head and head[0], waits):
                        shown[s] = (head and head[0], waits)
                        ctx.set(sequencer.command.valid, head is not None)
                        ctx.set(sequencer.waits, waits)
                        if head is not None:
                            ctx.set(sequencer.command.p, head[1].command(s, head[0]))
                    if abort is not None:
                        ctx.set(sequencer.abort, cycle >= abort)
                _, _, *values = await ctx.tick().sample(*(
                    value for q in sequencers for value in (
                        q.command.ready, q.load.valid, q.load.p, q.start.valid, q.start.p, q.cause, q.busy,
                        q.failure.valid, q.failure.code, q.failure.index,
                    )
                ))  # fmt: skip
                self.causes.append([])
                self.busy.append(False)
                for s in self.slabs:
                    ready, load, load_p, start, start_p, cause, busy, failed, code, index = values[10 * s : 10 * s + 10]
                    for kind, valid, p in [("load", load, load_p), ("start", start, start_p)]:
                        if valid:
                            fields = {name: getattr(p, name) for name, _ in p.shape()}
                            self.events.append(Event(cycle, s, kind, fields))
                    if failed:
                        self.failures.append((cycle, s, Error(code), index))
                    self.causes[-1].append(Counter(cause + Counter.STALL_PARTITION))
                    self.busy[-1] |= bool(busy)
                    if ready and queues[s] and queues[s][0][1].arrives <= cycle:
                        queues[s].pop(0)

        simulator = Simulator(m)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
        return self


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_token_in_its_cycle(name: str, wait: bool, seed: int) -> None:
    config = CONFIGS[name]
    program = random_program(config, Random(seed), 60, wait=wait)
    expected = schedule(config, program)
    stack = Stack(config).run(program, expected[-1].cycle + 3)
    for got, want in zip(stack.events, expected, strict=False):  # lengths are compared below
        assert got == want
    assert len(stack.events) == len(expected)
    assert not stack.failures
    under_way = {event.cycle - early for event in expected if event.kind == "start" for early in range(1 + config.array.lanes)}
    assert [cycle for cycle, busy in enumerate(stack.busy) if busy] == sorted(under_way)


FIELDS = {
    "rows": 4, "passes": 1, "moving": 0, "moving_step": 0, "stationary": 0, "stationary_step": 0, "accumulator": 0,
    "accumulator_step": 0, "accumulate_first": 0, "accumulate_rest": 0, "signal": 0, "row_macs": 0, "last_row_macs": 0,
}  # fmt: skip


def matmul(first: int, count: int, *, arrives: int = 0, tokens: int = 0, wait: int = 0, **fields: int) -> Matmul:
    return Matmul(first, count, FIELDS | fields, arrives, tokens, wait)


@pytest.mark.parametrize(("bank", "step", "room"), [
    ("moving", "moving_step", 64 - 4), ("stationary", "stationary_step", 64 - 8), ("accumulator", "accumulator_step", 12 - 4),
])  # fmt: skip
@pytest.mark.parametrize("past", [0, 1, 2**15])
def test_a_pass_that_leaves_a_bank(bank: str, step: str, room: int, past: int) -> None:
    config = CONFIGS["long_tiles"]
    fields = {bank: room - 6, step: 3, "passes": 3} if past < 2 else {bank: room - 6, step: 2**16 - 1, "passes": 3}
    fields[bank] += past % 2**15
    fine = 3 if past == 0 else 2 if past == 1 else 1
    stack = Stack(config).run([matmul(1, 2), matmul(0, 2, **fields)], 150)
    assert len([event for event in stack.events if event.slab == 0 and event.kind == "start"]) == fine
    assert {failure[1:] for failure in stack.failures} == ({(0, Error.BANK_RANGE, 1)} if past else set())


@pytest.mark.parametrize("abort", range(12))
def test_abort_decides_nothing_more(abort: int) -> None:
    config = CONFIGS["textbook"]
    program = [matmul(0, 2, passes=4), matmul(0, 3)]
    expected = schedule(config, program)
    # What is decided before reaches the slab: a load a cycle later, a start two.
    decided = [event for event in expected if event.cycle - {"load": 1, "start": 2}[event.kind] < abort]
    assert Stack(config).run(program, 60, abort=abort).events == decided


def causes(config: EngineConfig, program: list[Matmul], cycles: int) -> list[list[Counter]]:
    """Give each slab's causes, cycle by cycle."""
    rows = Stack(config).run(program, cycles).causes
    return [[row[s] for row in rows] for s in range(config.array.slabs)]


def test_causes_of_stalls() -> None:
    config = CONFIGS["two_cycles_a_tile"]
    tokens = [matmul(0, 2, arrives=3, tokens=7, wait=1), matmul(0, 1, arrives=20, tokens=24, wait=2)]
    top, south, other = causes(config, tokens, 28)
    assert set(other) == {Counter.STALL_EMPTY}
    assert top[:7] == south[:7] == [Counter.STALL_EMPTY] * 3 + [Counter.STALL_LOAD] * 4
    assert set(south[20:]) == {Counter.STALL_EMPTY}
    assert top[20:24] == [Counter.STALL_DRAIN] * 4

    # Slab 1 is still streaming 12 rows when slabs 0 and 1 are to start together; slab 1 itself waits for nobody.
    program = [matmul(1, 1, rows=12), matmul(0, 2, arrives=1)]
    top, south, _ = causes(config, program, 20)
    start = schedule(config, program)[-1].cycle
    assert top[4 : start - 2] == [Counter.STALL_PARTITION] * (start - 6)
    assert Counter.STALL_PARTITION not in south[:1]

    # One row after the other into the same accumulator: each start but the first waits for the sum before.
    program = [matmul(0, 1, rows=1, passes=4, accumulate_rest=1)]
    top = causes(config, program, 14)[0]
    starts = [event.cycle - 2 for event in schedule(config, program) if event.kind == "start"]
    waited = [Counter.STALL_STATIONARY, *[Counter.STALL_ACCUMULATOR] * 3]
    assert [top[start - 1] for start in starts] == waited
    # Without accumulating, tiles are what takes the time.
    top = causes(config, [matmul(0, 1, rows=1, passes=4)], 8)[0]
    assert set(top[:6]) == {Counter.STALL_STATIONARY}
