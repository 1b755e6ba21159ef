"""The sequencer of one slab: it starts passes, and joins those of a partition that begins further north.

Every slab has a sequencer with its own queue. A MATMUL is in the queue of every slab of its partition; the first slab
leads, the others follow. *Ready flows north, start flows south*: within a cycle, each follower tells its northern
neighbour whether it and all slabs below can take the next load or start, and the leader's decision runs down the
partition. The tokens that follow from it reach a slab `offset` cycles later than the leader, one seam a cycle.

So all bookkeeping is done in *decision time*: what a slab at `offset` must do in cycle t + offset is decided in cycle t.
A slab's counters say how many cycles from now a leader there could act; at offset o it may act o cycles earlier. That is
why partitions can change from one instruction to the next without a pause or a rule of their own.

A pass is a load (decided in cycle u, at the slab in u + 1) and a start (decided in t, at the slab in t + 2 + head_latency):

    t >= u + load_cycles - cells + 1    the swap does not overtake the write of the tile
    u' >= t + 1, u' >= u + tile_words   the next tile is written behind the swap, one tile at a time
    t' >= t + rows                      one moving row a cycle

with tile_words = load_cycles, and in a scaled pass one more for each lane that it uses: so passes follow each other every
max(rows, tile_words) cycles.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..array.skew import ripple
from ..array.tokens import ROW_MACS_BITS, load_layout, start_layout, token
from ..config import MEMORY_LATENCY, EngineConfig, bits_for
from ..numerics.formats import PAIRS
from .isa import Counter, Error
from .ports import Failure

CAUSE_BITS = 3
"""A stall's cause is its `Counter` less `Counter.STALL_PARTITION`: 0, what a follower without a leader shows."""

QUIET = MEMORY_LATENCY + 1
"""Cycles between an accumulator's read and a later read that sees the sum: within them, a pass could read too soon."""


def _cause(counter: Counter) -> Const:
    return Const(counter - Counter.STALL_PARTITION, CAUSE_BITS)


def limits(config: EngineConfig) -> dict[str, int]:
    """Give the most that a field of a MATMUL is in a queue: the first value with which a pass leaves its bank, or drops all."""
    depths = {
        "moving": config.moving_depth, "stationary": config.stationary_depth, "accumulator": config.accumulator_depth,
    }  # fmt: skip
    steps = {f"{bank}_step": depth for bank, depth in depths.items()}
    rows = min(config.moving_depth, config.accumulator_depth) + 1
    return depths | steps | {"rows": rows, "shift": (1 << config.shift_bits) - 1}


def matmul_layout(config: EngineConfig) -> data.StructLayout:
    """A MATMUL in a slab's queue: the instruction's fields, and this slab's place in the partition."""
    slabs = bits_for(config.array.slabs)
    width = {name: bits_for(limit + 1) for name, limit in limits(config).items()}
    pairs = {"pairs": bits_for(len(PAIRS))} if config.array.lanes > 1 else {}
    return data.StructLayout({
        "offset": slabs,  # slabs of the partition above this one; 0 leads
        "below": slabs,
        "rows": width["rows"],
        "passes": 16,
        "moving": width["moving"],
        "moving_step": width["moving_step"],
        "stationary": width["stationary"],
        "stationary_step": width["stationary_step"],
        "accumulator": width["accumulator"],
        "accumulator_step": width["accumulator_step"],
        "accumulate_first": 1,
        "accumulate_rest": 1,
        "row_macs": ROW_MACS_BITS,
        "last_row_macs": ROW_MACS_BITS,
        "wait": 2,  # for LOAD and DRAIN, at the leader
        "signal": 2,
        "index": 32,
    } | ({"scaled": 1, "shift": width["shift"]} if config.block_scales else {}) | pairs)


class Ready(wiring.Signature):
    """Flows north: this slab and all below it can take the next load, the next start."""

    def __init__(self) -> None:
        super().__init__({"load": Out(1), "start": Out(1)})


class Decision(wiring.Signature):
    """Flows south: what the leader does in this cycle."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__({
            "load": Out(1),
            "start": Out(1),
            "last": Out(1),  # with `start`: the instruction's last pass
            "rows": Out(matmul_layout(config)["rows"].shape),
            "tail": Out(bits_for(config.accumulator_depth)),  # the pass's last accumulator row
            "cause": Out(CAUSE_BITS),  # why it does not stream
        })


class Sequencer(wiring.Component):
    """Sequencer of one slab.

    Members
    -------
    command : In(stream of matmul_layout)
        Head of the slab's queue; taken in the cycle that decides the last start.
    waits : In(2)
        Tokens from LOAD and DRAIN that the head asks for and that are not there.
    from_south, to_north : In(Ready), Out(Ready)
    from_north, to_south : In(Decision), Out(Decision)
    load, start : Out(token)
        To this slab, when it leads.
    cause : Out(3)
        Why no new row enters the slab, for the performance counters.
    failure : Out(Failure)
        BANK_RANGE, instead of the pass that would leave a bank.
    abort : In(1)
        Decide nothing more.
    busy : Out(1)
        A token is on its way to the slab.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "command": In(stream.Signature(matmul_layout(config))),
            "waits": In(2),
            "from_south": In(Ready()),
            "to_north": Out(Ready()),
            "from_north": In(Decision(config)),
            "to_south": Out(Decision(config)),
            "load": Out(token(load_layout(config))),
            "start": Out(token(start_layout(config))),
            "cause": Out(CAUSE_BITS),
            "failure": Out(Failure()),
            "abort": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        array = config.array
        head = self.command.p
        leads = self.command.valid & (head.offset == 0)
        follows = self.command.valid & (head.offset != 0)
        alone = head.below == 0
        scaled = head.scaled if config.block_scales else Const(0)
        paired = head.pairs.any() if array.lanes > 1 else Const(0)
        scale_words = Mux(scaled, 1 + paired, 0)

        # The pass at hand. Addresses have a bit more than the instruction's, so that a sum past the end is seen.
        first = Signal(init=1)
        layout = data.StructLayout(
            {"left": 16} | {name: len(head[name]) + 1 for name in ("moving", "stationary", "accumulator")}
        )
        begun, current = Signal(layout), Signal(layout)
        with m.If(first):
            m.d.comb += [
                current.left.eq(head.passes),
                current.moving.eq(head.moving),
                current.stationary.eq(head.stationary),
                current.accumulator.eq(head.accumulator),
            ]
        with m.Else():
            m.d.comb += current.eq(begun)
        last = current.left == 1
        accumulate = Mux(first, head.accumulate_first, head.accumulate_rest)

        # When the next load and the next start may be decided here: cycles from now, as a leader. `free` goes on counting
        # for QUIET cycles more, to know how long ago the last row was.
        loading = Signal(range(config.tile_words + array.slabs))
        free = Signal(range(limits(config)["rows"] + array.slabs + QUIET))
        tail = Signal(bits_for(config.accumulator_depth))

        # A row of the last pass that is still on its way to the accumulators must not be read again.
        gap = Signal(range(QUIET + 1))
        since = head.offset + QUIET - free  # cycles between the last row and the next pass's first
        m.d.comb += gap.eq(Mux(since >= QUIET, QUIET, Mux(since < 0, 0, since)))
        ahead = tail - current.accumulator[: len(tail)]
        near = (ahead >= 0) & (ahead < QUIET - gap)
        hazard = Mux(first, alone, leads) & accumulate & near

        can_load = loading <= head.offset
        can_start = (free <= head.offset + QUIET) & ~hazard
        m.d.comb += [
            self.to_north.load.eq(follows & can_load & (alone | self.from_south.load)),
            self.to_north.start.eq(follows & can_start & (alone | self.from_south.start)),
        ]

        # The leader's decisions.
        loaded = Signal()
        outside = (
            (current.moving + head.rows > config.moving_depth)
            | (current.stationary + array.load_cycles + scale_words > config.stationary_depth)
            | (current.accumulator + head.rows > config.accumulator_depth)
        )
        written = loading < array.cells + scale_words
        go = leads & ~self.waits.any() & ~self.abort
        wants_load = go & ~loaded & can_load & (alone | self.from_south.load)
        starts = go & loaded & written & can_start & (alone | self.from_south.start)
        m.d.comb += [
            self.failure.valid.eq(wants_load & outside),
            self.failure.code.eq(Error.BANK_RANGE),
            self.failure.index.eq(head.index),
        ]

        decision = Decision(config).create(path=("decision",))
        with m.If(leads):
            m.d.comb += [
                decision.load.eq(wants_load & ~outside),
                decision.start.eq(starts),
                decision.last.eq(last),
                decision.rows.eq(head.rows),
                decision.tail.eq(current.accumulator + head.rows - 1),
            ]
        with m.Elif(follows):
            m.d.comb += [getattr(decision, name).eq(getattr(self.from_north, name)) for name in decision.signature.members]
        with m.If(~alone):
            m.d.comb += [getattr(self.to_south, name).eq(getattr(decision, name)) for name in decision.signature.members]

        # What every slab of the partition keeps of them.
        m.d.sync += [loading.eq(Mux(loading == 0, 0, loading - 1)), free.eq(Mux(free == 0, 0, free - 1))]
        with m.If(decision.load):
            m.d.sync += [loaded.eq(leads), loading.eq(array.load_cycles - 1 + scale_words + head.offset)]
        with m.If(decision.start):
            m.d.sync += [
                loaded.eq(0),
                free.eq(decision.rows + head.offset + QUIET - 1),
                tail.eq(decision.tail),
                first.eq(decision.last),
                begun.left.eq(current.left - 1),
                begun.moving.eq(current.moving + head.moving_step),
                begun.stationary.eq(current.stationary + head.stationary_step),
                begun.accumulator.eq(current.accumulator + head.accumulator_step),
            ]
            with m.If(loading <= head.offset):
                m.d.sync += loading.eq(head.offset)  # the next tile is written behind the swap, which comes this late
        m.d.comb += self.command.ready.eq(decision.start & decision.last)

        # Tokens to the slab.
        start = token(start_layout(config)).create(path=("next_start",))
        m.d.sync += [
            self.load.valid.eq(decision.load & leads),
            self.load.p.address.eq(current.stationary),
            self.load.p.below.eq(head.below),
            start.valid.eq(decision.start & leads),
            start.p.rows.eq(head.rows),
            start.p.moving.eq(current.moving),
            start.p.accumulator.eq(current.accumulator),
            start.p.accumulate.eq(accumulate),
            start.p.fused.eq(0),
            start.p.below.eq(head.below),
            start.p.signal.eq(Mux(last, head.signal, 0)),
            start.p.row_macs.eq(Mux(last, head.last_row_macs, head.row_macs)),
        ]
        if config.block_scales:
            m.d.sync += [
                self.load.p.scaled.eq(scaled),
                start.p.scaled.eq(scaled),
                start.p.shift.eq(head.shift),
            ]
        if array.lanes > 1:
            m.d.sync += [self.load.p.pairs.eq(head.pairs), start.p.paired.eq(paired)]
        starts = ripple(m, "start", Cat(start.valid, start.p), 2 + array.head_latency)
        m.d.comb += [Cat(self.start.valid, self.start.p).eq(starts[-1]), self.busy.eq(Cat(line[0] for line in starts).any())]

        # Why nothing streams, for the counters.
        with m.If(~self.command.valid):
            m.d.comb += decision.cause.eq(_cause(Counter.STALL_EMPTY))
        with m.Elif(leads):
            with m.If(self.waits[0]):
                m.d.comb += decision.cause.eq(_cause(Counter.STALL_LOAD))
            with m.Elif(self.waits[1]):
                m.d.comb += decision.cause.eq(_cause(Counter.STALL_DRAIN))
            with m.Elif(~alone & Mux(loaded, written & can_start & ~self.from_south.start, can_load & ~self.from_south.load)):
                m.d.comb += decision.cause.eq(_cause(Counter.STALL_PARTITION))
            with m.Elif(loaded & written & hazard):
                m.d.comb += decision.cause.eq(_cause(Counter.STALL_ACCUMULATOR))
            with m.Else():
                m.d.comb += decision.cause.eq(_cause(Counter.STALL_STATIONARY))
        m.d.comb += self.cause.eq(decision.cause)
        return m
