"""The slab: columns of cells on their operand banks, with a seam below.

Read it as a clock. A `start` token arrives in cycle X and streams moving rows m = 0, 1, ...:

    X + m                       row m is read from the moving bank; its first row's swap enters column 0
    X + m + 1 + r + c           cell row r of column c multiplies it
    X + m + 1 + cells + c       column c's product stands at the seam          (+ multiply_stages, here and below)
    X + m + 2 + cells + c       the sum is written to the accumulators, or taken over by the seam below

Columns of two lanes have two seams, for the two results of a paired row, and a join one cycle before them.

A `load` token arrives in cycle Y and writes the stationary tile's words i = 0, 1, ...:

    Y + i + c                   word i is read for column c (memories of `stationary_columns` columns, skewed inside by registers)
    Y + i + c + 1               column c's waiting operands are written         (+ head_latency)

Both hold for the next slab of the partition one cycle later, because the tokens reach it one cycle later.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import or_

from amaranth.hdl import Assert, Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, PureInterface, connect, flipped

from ..config import MEMORY_LATENCY, OPERAND_BITS, ArrayConfig, EngineConfig, bits_for
from ..engine.ports import AccumulatorRead
from ..hdl import delay, share
from ..memory.ram import Ram1r1w, WritePort
from .column import Column
from .join import Join
from .seam import Seam, saturated
from .skew import ripple
from .tokens import ROW_MACS_BITS, load_layout, row_layout, start_layout, tile_layout, token


def flight(array: ArrayConfig) -> int:
    """Give the cycles for which a slab is busy after its last row: until that is written, and the accumulators have it."""
    return array.row_latency + 2


class Slab(wiring.Component):
    """One slab: `rows` x `columns` MACs, their moving, stationary and accumulator banks, and the seam to the south.

    A pass of M rows takes M cycles and may follow the last one at once; a tile takes `load_cycles` cycles. The sequencer
    keeps the rules: a start comes `load_cycles + head_latency - cells + 2` or more cycles after its load, a load `head_latency`
    cycles or less before the start that swaps the tile before it, and no start while rows of another one stream (assertions
    say so).

    Parameters
    ----------
    config
        The engine.

    Members
    -------
    load, start : In(token)
        From this slab's sequencer, for the first slab of a partition.
    load_from_north, start_from_north : In(token); load_to_south, start_to_south : Out(token)
        From and to the neighbours, within a partition.
    sums_from_north : In(accumulator_bits).array(lanes * columns), sums_to_south : Out(accumulator_bits).array(lanes * columns)
        Running sums of a fused partition, as complements, lane after lane; column c's is due c cycles after column 0's.
    moving, stationary : In(WritePort)
        Writes into the operand banks.
    distances : In(WritePort)
        With `block_scales`: writes into the bank of the moving words' distances from their rows' anchors.
    accumulators : In(AccumulatorRead), drain_addresses : In(...).array(read_columns + 1)
        Reads by the drain; their addresses as they were 0, 1, 2 ... cycles ago.
    streaming : Out(1), row_macs : Out(20)
        A moving row enters the slab; the useful MACs it stands for, in the partition's first slab (else 0).
    started : Out(1)
        A pass starts in this cycle.
    written : Out(1), signal : Out(2)
        A row's last column is written; after the last row of an instruction, the units to give a token to.
    busy : Out(1)
        Rows are on their way, or a tile is being written.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        array = config.array
        load, start = token(load_layout(config)), token(start_layout(config))
        super().__init__({
            "load": In(load),
            "start": In(start),
            "load_from_north": In(load),
            "start_from_north": In(start),
            "load_to_south": Out(load),
            "start_to_south": Out(start),
            "sums_from_north": In(config.accumulator_bits).array(array.lanes * array.columns),
            "sums_to_south": Out(config.accumulator_bits).array(array.lanes * array.columns),
            "moving": In(WritePort(config.moving_depth, OPERAND_BITS * array.rows)),
            "stationary": In(
                WritePort(config.stationary_depth, OPERAND_BITS * array.load_rows * array.columns, array.load_rows)
            ),
            "accumulators": In(AccumulatorRead(config)),
            "drain_addresses": In(bits_for(config.accumulator_depth)).array(config.read_columns + MEMORY_LATENCY),
            "streaming": Out(1),
            "row_macs": Out(ROW_MACS_BITS),
            "started": Out(1),
            "written": Out(1),
            "signal": Out(2),
            "busy": Out(1),
        } | ({"distances": In(WritePort(config.moving_depth, OPERAND_BITS))} if config.block_scales else {}))

    @property
    def shared_name(self) -> str:
        return "slab"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        array = self.config.array
        load = self._pass_south(m, "load", self.load, self.load_from_north, self.load_to_south)
        start = self._pass_south(m, "start", self.start, self.start_from_north, self.start_to_south)

        columns = []
        for c in range(array.columns):
            m.submodules[f"column_{c}"] = column = share(platform, Column(array))
            columns.append(column)

        # Moving operands, one cycle after their row's token: cell row r is r cycles behind; then east, one column a cycle.
        row, moving, distance = self._stream(m, platform, start)
        for r in range(array.cells):
            west = moving.word_select(r, OPERAND_BITS * array.dot)
            m.d.comb += columns[0].from_west[r].eq(delay(m, f"moving_{r}", west, r))
            m.d.comb += [east.from_west[r].eq(west.to_east[r]) for west, east in pairwise(columns)]

        # Stationary operands and controls: column c is c cycles behind.
        swaps = ripple(m, "swap", start.valid, array.columns)
        tile, base = self._load(m, load)
        tiles = ripple(m, "tile", tile, array.columns + MEMORY_LATENCY)
        stationary = self._stationary(m, platform, tiles, base)
        for c, column in enumerate(columns):
            written = tiles[c + MEMORY_LATENCY]
            m.d.comb += [
                column.swap.eq(swaps[c]),
                column.write.eq(written.valid & ~written.scales if self.config.block_scales else written.valid),
                column.index.eq(written.index),
                column.stationary.eq(stationary[c]),
            ]
            if array.lanes > 1:
                m.d.comb += column.pairs.eq(written.pairs)

        # Seams: a row's token meets the row's sums as they leave the lowest cells.
        arrived = ripple(m, "arrived", row, 1 + MEMORY_LATENCY)[-1]
        if self.config.block_scales:
            shifted = Signal.like(arrived)
            m.d.comb += [shifted.eq(arrived), shifted.shift.eq(saturated(arrived.shift + distance, self.config.shift_bits))]
            arrived = shifted
        fall = ripple(m, "fall", arrived, array.seam_latency)
        rows = ripple(m, "row", fall[-1], array.columns + MEMORY_LATENCY + 1)
        lanes = [rows, *([self._of_pairs(row) for row in rows] for _ in range(1, array.lanes))]
        seams: list[list[Seam]] = [[] for _ in lanes]
        for c, column in enumerate(columns):
            products = self._join(m, platform, c, column, rows[c])
            for lane, tokens in enumerate(lanes):
                m.submodules[f"seam_{lane}_{c}"] = seam = share(platform, Seam(self.config))
                seams[lane].append(seam)
                number = lane * array.columns + c
                m.d.comb += [
                    seam.product.eq(products[lane]),
                    seam.from_north.eq(self.sums_from_north[number]),
                    self.sums_to_south[number].eq(seam.to_south),
                    seam.read.eq(tokens[c]),
                    seam.add.eq(tokens[c + MEMORY_LATENCY]),
                    seam.write.eq(tokens[c + MEMORY_LATENCY + 1]),
                ]
            if self.config.block_scales:
                self._distances(m, c, tiles[c + MEMORY_LATENCY], stationary[c], [of_lane[c] for of_lane in seams])
        self._drain(m, lanes, seams)

        m.d.comb += [self.written.eq(rows[-1].write), self.signal.eq(rows[-1].signal & rows[-1].write.replicate(2))]
        left = Signal(range(flight(array) + 1))
        with m.If(self.streaming):
            m.d.sync += left.eq(flight(array))
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += self.busy.eq((left != 0) | tile.valid)
        return m

    def _join(self, m: Module, platform: object, c: int, column: Column, row: data.View) -> Sequence[Value]:
        """Give a column's products for its seams, of the row that reads accumulators in this cycle."""
        if len(column.product) == 1:
            return column.product
        m.submodules[f"join_{c}"] = join = share(platform, Join(self.config))
        m.d.comb += [join.paired.eq(row.paired), *(to.eq(lane) for to, lane in zip(join.lanes, column.product, strict=True))]
        return join.joined

    def _distances(self, m: Module, c: int, tile: data.View, word: Value, seams: list[Seam]) -> None:
        """Give a column's seams their distances, from the tile's words behind its rows, a word for each lane."""
        scales = tile.valid & tile.scales
        writes = [scales & (tile.index == self.config.array.load_cycles + lane) for lane in range(len(seams))]
        line = delay(m, f"distance_{c}", Cat(word[:OPERAND_BITS], writes), self.config.distance_delay)
        for lane, seam in enumerate(seams):
            m.d.comb += [seam.distance.eq(line[:OPERAND_BITS]), seam.distance_write.eq(line[OPERAND_BITS + lane])]

    def _of_pairs(self, row: data.View) -> data.View:
        """Give a row's token as the second lane's seams see it: they have nothing of a row that is not paired."""
        fields = {name: Value.cast(row[name]) for name in row.shape().members}
        for name in ("write", "accumulate"):
            fields[name] = row[name] & row.paired
        return data.View(row.shape(), Cat(fields.values()))

    def _pass_south(
        self, m: Module, name: str, own: PureInterface, north: PureInterface, south: PureInterface
    ) -> PureInterface:
        """Take a token from the sequencer or the slab above; pass it on while slabs of its partition are below."""
        layout = own.p.shape()
        here = token(layout).create(path=(name,))
        m.d.comb += [here.valid.eq(own.valid | north.valid), here.p.eq(Mux(north.valid, north.p, own.p))]
        m.d.sync += [Assert(~(own.valid & north.valid), f"two {name} tokens at once")]
        m.d.sync += [
            south.valid.eq(here.valid & (here.p.below != 0)),
            south.p.eq(here.p),
            south.p.below.eq(here.p.below - 1),
        ]
        if "fused" in layout.members:
            m.d.sync += [south.p.fused.eq(1), south.p.row_macs.eq(0)]  # the first slab counts for all
        return here  # pyright: ignore[reportReturnType]  the stubs' `create` forgets the kind of interface

    def _stream(self, m: Module, platform: object, start: PureInterface) -> tuple[data.View, Value, Value]:
        """Read the pass's moving rows, one a cycle; give the row token, and one cycle later the row's operands and distance."""
        config = self.config
        current = Signal(start_layout(config))  # the row in this cycle, and how many are left with it
        following = Signal(start_layout(config))
        with m.If(start.valid):
            m.d.comb += current.eq(start.p)
            m.d.sync += Assert(following.rows == 0, "a pass starts while another one streams")
        with m.Else():
            m.d.comb += current.eq(following)
        streaming = current.rows != 0
        m.d.sync += following.eq(current)
        with m.If(streaming):
            m.d.sync += [
                following.rows.eq(current.rows - 1),
                following.moving.eq(current.moving + 1),
                following.accumulator.eq(current.accumulator + 1),
            ]

        m.submodules.moving_bank = bank = share(platform, Ram1r1w(config.moving_depth, OPERAND_BITS * config.array.rows))
        connect(m, flipped(self.moving), bank.write)
        m.d.comb += [
            bank.read.enable.eq(streaming),
            bank.read.address.eq(current.moving),
            self.started.eq(start.valid),
            self.streaming.eq(streaming),
            self.row_macs.eq(Mux(streaming & ~current.fused, current.row_macs, 0)),
        ]

        row = Signal(row_layout(config))
        write = streaming & (current.below == 0)
        m.d.comb += [
            row.write.eq(write),
            row.accumulate.eq(write & current.accumulate),
            row.fused.eq(current.fused),
            row.address.eq(current.accumulator),
            row.signal.eq(Mux(write & (current.rows == 1), current.signal, 0)),
        ]
        if config.array.lanes > 1:
            m.d.comb += row.paired.eq(current.paired)
        if config.block_scales:
            m.d.comb += [row.swap.eq(start.valid), row.scaled.eq(current.scaled), row.shift.eq(current.shift)]
            return row, bank.read.data, self._distance(m, platform, streaming & current.scaled, current.moving)
        return row, bank.read.data, Const(0)

    def _distance(self, m: Module, platform: object, read: Value, address: Value) -> Value:
        """Read how far the block of a moving row is below the row's anchor; 0 for a row that is not scaled."""
        m.submodules.distance_bank = bank = share(platform, Ram1r1w(self.config.moving_depth, OPERAND_BITS))
        scaled = Signal()
        connect(m, flipped(self.distances), bank.write)
        m.d.comb += [bank.read.enable.eq(read), bank.read.address.eq(address)]
        m.d.sync += scaled.eq(read)
        return Mux(scaled, bank.read.data, 0)

    def _load(self, m: Module, load: PureInterface) -> tuple[data.View, Value]:
        """Read the stationary tile's words, one a cycle, from the cycle of the `load` token on; give the first's address, too."""
        config = self.config
        tile = Signal(tile_layout(config))
        following = Signal(tile_layout(config))
        base = Signal.like(load.p.address, reset_less=True)
        last = tile.index == config.array.load_cycles - 1
        if config.array.lanes > 1:
            m.d.sync += following.pairs.eq(tile.pairs)
        if config.block_scales:
            scaled = Signal()
            with m.If(load.valid):
                m.d.sync += scaled.eq(load.p.scaled)
            m.d.sync += following.scales.eq(tile.scales | (last & scaled))
            words = config.array.load_cycles + scaled * (1 + (tile.pairs.any() if config.array.lanes > 1 else 0))
            last = tile.index == words - 1
        with m.If(load.valid):
            m.d.comb += [tile.valid.eq(1), tile.index.eq(0)]
            if config.array.lanes > 1:
                m.d.comb += tile.pairs.eq(load.p.pairs)
            m.d.sync += base.eq(load.p.address)
            m.d.sync += Assert(~following.valid, "a tile is loaded while another one is being written")
        with m.Else():
            m.d.comb += tile.eq(following)
        m.d.sync += [
            following.valid.eq(tile.valid & ~last),
            following.index.eq(tile.index + 1),
        ]
        return tile, Mux(load.valid, load.p.address, base)

    def _stationary(self, m: Module, platform: object, tiles: list, base: Value) -> list[Value]:
        """Give each column its operands of the word whose token it sees: a memory for every `stationary_columns` columns.

        A tile's first address goes from memory to memory one cycle ahead of its first word, and stays for all of its words:
        a memory's western neighbour keeps it for `load_cycles`, and `stationary_columns` are no more.
        """
        config = self.config
        array = config.array
        operands = []
        for west in range(0, array.columns, config.stationary_columns):
            width = min(config.stationary_columns, array.columns - west)
            if west:
                ahead = tiles[west - 1]
                base_here = Signal(len(base), name=f"base_{west}", reset_less=True)
                with m.If(ahead.valid & (ahead.index == 0)):
                    m.d.sync += base_here.eq(base)
                base = base_here
            ram = Ram1r1w(config.stationary_depth, OPERAND_BITS * array.load_rows * width, array.load_rows)
            m.submodules[f"stationary_bank_{west}"] = bank = share(platform, ram)
            columns = slice(OPERAND_BITS * west, OPERAND_BITS * (west + width))
            written = [
                self.stationary.data.word_select(part, OPERAND_BITS * array.columns)[columns]
                for part in range(array.load_rows)
            ]
            m.d.comb += [
                bank.write.enable.eq(self.stationary.enable),
                bank.write.address.eq(self.stationary.address),
                bank.write.data.eq(Cat(written)),
                bank.read.enable.eq(tiles[west].valid),
                bank.read.address.eq(base + tiles[west].index),
            ]
            for c in range(width):
                column = Cat(
                    bank.read.data.word_select(part * width + c, OPERAND_BITS) for part in range(array.load_rows)
                )
                operands.append(delay(m, f"stationary_{west + c}", column, c))
        return operands

    def _drain(self, m: Module, rows: list[list], seams: list[list[Seam]]) -> None:
        """Read one group of columns of a lane for the drain, a column a cycle like the passes, between whose reads it fits."""
        config = self.config
        port = self.accumulators
        wests = range(0, config.array.columns, config.read_columns)
        groups = [of_lane[west : west + config.read_columns] for of_lane in seams for west in wests]
        first_rows = [of_lane[west] for of_lane in rows for west in wests]
        collisions = Signal(len(groups))
        for group, (row, collision) in enumerate(zip(first_rows, collisions, strict=True)):
            m.d.comb += collision.eq(
                (port.group == group) & row.accumulate & (row.address[0] == port.address[0])
            )
        m.d.comb += port.ready.eq(~collisions.any())

        request = Signal(len(groups))
        for group, asked in enumerate(request):
            m.d.comb += asked.eq(port.valid & port.ready & (port.group == group))
        requests = ripple(m, "drain", request, config.read_columns + MEMORY_LATENCY)
        for i in range(config.read_columns):
            asked, answered = requests[i], requests[i + MEMORY_LATENCY]
            parity = self.drain_addresses[i + MEMORY_LATENCY][0]
            members = [(group, seams_of[i]) for group, seams_of in enumerate(groups) if i < len(seams_of)]
            for group, seam in members:
                m.d.comb += [
                    seam.drain.eq(asked[group]),
                    seam.drain_address.eq(self.drain_addresses[i]),
                    seam.drained_half.eq(Cat(~parity, parity) & answered[group].replicate(2)),
                ]
            m.d.comb += port.data[i].eq(reduce(or_, (seam.drained for _, seam in members)))
