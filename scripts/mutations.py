"""The deliberate breaks of `scripts/mutate.py`: one line of source each, and the tests that must notice."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Mutation:
    """A break: in `file` of the package, `old`, which occurs there exactly once, becomes `new`.

    `what` says what is wrong then, in a few words; `tests` is the pytest selection of which some test must fail.
    """

    file: str
    old: str
    new: str
    what: str
    tests: str

    @property
    def part(self) -> str:
        """Name of the module, without the package's."""
        return ".".join(PurePosixPath(self.file).with_suffix("").parts)


CELL = "tb/array/test_array.py::test_cell[wide_load]"
SEAM = "tb/array/test_array.py::test_seam[textbook]"
SLAB = "tb/array/test_array.py::test_slab[wide_load]"
ARRAY = "tb/engine/test_partitions.py -k short_tiles"
ARRAY_5_COLUMNS = "tb/engine/test_partitions.py -k staged"
SEQUENCER = "tb/engine/test_sequencer.py"
DISPATCH = "tb/engine/test_dispatch.py"
DEPENDENCIES = "tb/engine/test_dependencies.py"
SUPERVISOR = "tb/engine/test_supervisor.py"
REGISTERS = "tb/engine/test_registers.py"
COUNTERS = "tb/engine/test_counters.py"
ERRORS = "tb/engine/test_errors.py -k 'steady or owes'"
RESTART = "tb/engine/test_errors.py -k 'restart or watchdog'"
FETCH = "tb/engine/test_fetch.py"
LOAD = "tb/engine/test_load.py"
GEARBOX = "tb/engine/test_gearbox.py"
BANK_WRITER = "tb/engine/test_bank_writer.py"
DRAIN = "tb/engine/test_drain.py"
REQUANTISER = "tb/engine/test_requantiser.py"
AXI_WRITE = "tb/engine/test_axi_write.py"
COMPILE = "tb/compile tb/model"

MUTATIONS = [
    # Configuration.
    Mutation("config.py", "2 * OPERAND_BITS + (self.rows - 1).bit_length()", "2 * OPERAND_BITS + (self.rows - 1).bit_length() - 1",
             "partial sums one bit too narrow for extreme operands", SLAB),
    # The array.
    Mutation("array/cell.py", "self.from_west.word_select(i, OPERAND_BITS).as_signed()", "self.from_west.word_select(i, OPERAND_BITS)",
             "moving operands without their sign", CELL),
    Mutation("array/cell.py", "held.word_select(i, OPERAND_BITS)", "held.word_select(config.dot - 1 - i, OPERAND_BITS)",
             "products pair a cell's operands in the wrong order", CELL),
    Mutation("array/cell.py", "enumerate(self.write):", "enumerate(reversed(self.write)):",
             "write groups of a cell swapped", CELL),
    Mutation("array/cell.py", "m.d.sync += held.eq(waiting)", "m.d.sync += held.eq(waiting & ~self.write.any().replicate(len(waiting)))",
             "a swap loses the operands when the next are written in its cycle", CELL),
    Mutation("array/column.py", "self.index == row * groups + group", "self.index == row + group * config.cells",
             "stationary rows written into the wrong cells", SLAB),
    Mutation("array/column.py", "m.d.sync += swap_south.eq(swap)", "m.d.comb += swap_south.eq(swap)",
             "all cell rows swap in the same cycle", ARRAY),
    Mutation("array/column.py", "cell.from_north.eq(south)", "cell.from_north.eq(south if row != 1 else 0)",
             "the second cell row drops the sum from the north", ARRAY),
    Mutation("array/slab.py", "columns[c].swap.eq(swaps[c])", "columns[c].swap.eq(swaps[max(c - 1, 0)])",
             "columns swap one cycle early", ARRAY),
    Mutation("array/slab.py", "columns[c].swap.eq(swaps[c])", "columns[c].swap.eq(swaps[min(c + 1, array.columns - 1)])",
             "columns swap one cycle late", ARRAY),
    Mutation("array/slab.py", "array.cells + array.multiply_stages + 1)\n", "array.cells + array.multiply_stages)\n",
             "a row's token is one cycle ahead of its sum", ARRAY),
    Mutation("array/slab.py", 'delay(m, f"moving_{r}", west, r)', 'delay(m, f"moving_{r}", west, max(r - 1, 0))',
             "the skew of the moving operands is one cycle short", ARRAY),
    Mutation("array/slab.py", "bank.read.data.word_select(part * width + c, OPERAND_BITS) for part in range(array.load_rows)",
             "bank.read.data.word_select(part * width + c, OPERAND_BITS) for part in reversed(range(array.load_rows))",
             "parts of a stationary word in the wrong order", ARRAY),
    Mutation("array/slab.py", "column, c))", "column, 0))",
             "stationary operands not skewed inside a bank", ARRAY),
    Mutation("array/slab.py", "port.valid & port.ready & (port.group == group)", "port.valid & port.ready & (port.group >= group)",
             "the drain reads two groups of columns at once", ARRAY_5_COLUMNS),
    Mutation("array/slab.py", "port.ready.eq(~collisions.any())", "port.ready.eq(1)",
             "the drain does not give way to a pass", ARRAY),
    Mutation("array/slab.py", "(row.address[0] == port.address[0])", "(row.address[0] != port.address[0])",
             "the drain gives way to the wrong half of the bank", ARRAY),
    Mutation("array/slab.py", "south.p.below.eq(here.p.below - 1)", "south.p.below.eq(here.p.below)",
             "a token does not count the slabs on its way south", ARRAY),
    Mutation("array/slab.py", "south.valid.eq(here.valid & (here.p.below != 0))", "south.valid.eq(here.valid & (here.p.below > 1))",
             "a token does not reach a partition's last slab", ARRAY),
    Mutation("array/slab.py", "write = streaming & (current.below == 0)", "write = streaming",
             "every slab of a partition writes its accumulators", ARRAY),
    Mutation("array/slab.py", "row.signal.eq(Mux(write & (current.rows == 1), current.signal, 0))",
             "row.signal.eq(Mux(write & (current.rows <= 2), current.signal, 0))",
             "a MATMUL's tokens are given with its last but one row, too", SLAB),
    Mutation("array/slab.py", "(left != 0) | tile.valid", "left != 0",
             "a reset does not wait for a tile that is being written", RESTART),
    Mutation("array/seam.py", "Mux(self.add.fused, self.from_north, 0)", "self.from_north",
             "the seam does not cut", ARRAY),
    Mutation("array/seam.py", "Mux(self.add.address[0], odd, even)", "Mux(self.read.address[0], odd, even)",
             "the seam adds the accumulator of the other parity", SEAM),
    Mutation("array/seam.py", "bank.write.address.eq(self.write.address >> 1)", "bank.write.address.eq((self.write.address >> 1) + 1)",
             "accumulators written one address further", SEAM),
    Mutation("array/seam.py", "Mux(self.add.accumulate, ", "Mux(self.read.accumulate, ",
             "whether a row accumulates is asked one cycle early", ARRAY),
    Mutation("array/seam.py", "drained_half[half].eq(drain)", "drained_half[half].eq(self.drain)",
             "the drain sees both halves of the accumulators", SEAM),
    # Sequencers.
    Mutation("engine/sequencer.py", "can_load = loading <= head.offset", "can_load = loading <= head.offset + 1",
             "a tile is loaded one cycle early", SEQUENCER),
    Mutation("engine/sequencer.py", "written = loading < array.cells", "written = loading <= array.cells",
             "a swap may overtake the write of its tile", SEQUENCER),
    Mutation("engine/sequencer.py", "can_start = (free <= head.offset + QUIET) & ~hazard", "can_start = (free < head.offset + QUIET) & ~hazard",
             "a bubble between passes", SEQUENCER),
    Mutation("engine/sequencer.py", "can_start = (free <= head.offset + QUIET) & ~hazard", "can_start = (free <= head.offset + QUIET)",
             "no hazard is waited for", ARRAY),
    Mutation("engine/sequencer.py", "loading.eq(array.load_cycles - 1 + head.offset)", "loading.eq(array.load_cycles - 1)",
             "a follower forgets how much later its tile is written", SEQUENCER),
    Mutation("engine/sequencer.py", "m.d.sync += loading.eq(head.offset)", "m.d.sync += loading.eq(0)",
             "the next tile is written ahead of the swap, in a slab that leads after it followed", SEQUENCER),
    Mutation("engine/sequencer.py", "free.eq(decision.rows + head.offset + QUIET - 1)", "free.eq(decision.rows + QUIET - 1)",
             "a follower forgets how much later its rows stream", SEQUENCER),
    Mutation("engine/sequencer.py", "tail.eq(decision.tail)", "tail.eq(decision.tail + 1)",
             "hazard: the last accumulator row is off by one", SEQUENCER),
    Mutation("engine/sequencer.py", "(ahead >= 0) & ", "",
             "hazard: rows beyond the last pass's are waited for", SEQUENCER),
    Mutation("engine/sequencer.py", "(ahead < QUIET - gap)", "(ahead < QUIET)",
             "hazard: the cycles since the last row are not counted", SEQUENCER),
    Mutation("engine/sequencer.py", "(ahead < QUIET - gap)", "(ahead < QUIET - 1 - gap)",
             "hazard: the window is one row short", ARRAY),
    Mutation("engine/sequencer.py", "Mux(first, alone, leads) & accumulate & near", "Mux(first, alone, leads) & near",
             "hazard: passes that overwrite wait as well", SEQUENCER),
    Mutation("engine/sequencer.py", "hazard = Mux(first, alone, leads)", "hazard = Mux(first, leads, leads)",
             "hazard: the leader asks its own last pass, not the last slab's", SEQUENCER),
    Mutation("engine/sequencer.py", "since = head.offset + QUIET - free", "since = QUIET - free",
             "hazard: a follower's later rows are not counted", SEQUENCER),
    Mutation("engine/sequencer.py", "accumulate = Mux(first, head.accumulate_first, head.accumulate_rest)",
             "accumulate = Mux(last, head.accumulate_first, head.accumulate_rest)",
             "the wrong pass overwrites its accumulators", SEQUENCER),
    Mutation("engine/sequencer.py", "starts = go & loaded & written & can_start & (alone | self.from_south.start)",
             "starts = go & loaded & written & can_start",
             "the leader does not wait for the slabs below", ARRAY),
    Mutation("engine/sequencer.py", "self.to_north.load.eq(follows & can_load & (alone | self.from_south.load))",
             "self.to_north.load.eq(follows & can_load)",
             "readiness of the third slab does not reach the first", SEQUENCER),
    Mutation("engine/sequencer.py", "begun.moving.eq(current.moving + head.moving_step)", "begun.moving.eq(head.moving + head.moving_step)",
             "the third pass's moving address", SEQUENCER),
    Mutation("engine/sequencer.py", "begun.stationary.eq(current.stationary + head.stationary_step)",
             "begun.stationary.eq(current.stationary + head.moving_step)",
             "the stationary address steps by the moving operand's step", SEQUENCER),
    Mutation("engine/sequencer.py", "begun.accumulator.eq(current.accumulator + head.accumulator_step)", "begun.accumulator.eq(current.accumulator)",
             "all passes into the same accumulators", SEQUENCER),
    Mutation("engine/sequencer.py", "Mux(last, head.signal, 0)", "Mux(first, head.signal, 0)",
             "tokens given after the first pass", SEQUENCER),
    Mutation("engine/sequencer.py", "(current.accumulator + head.rows > config.accumulator_depth)",
             "(current.accumulator + head.rows > config.accumulator_depth + 1)",
             "a pass may leave the accumulators by one row", SEQUENCER),
    Mutation("engine/sequencer.py", '"moving": 17, "stationary": 17', '"moving": 16, "stationary": 16',
             "an address that wraps is not seen to leave the bank", SEQUENCER),
    Mutation("engine/sequencer.py", "go = leads & ~self.waits.any() & ~self.abort", "go = leads & ~self.waits.any()",
             "an abort does not stop the sequencers", SEQUENCER),
    Mutation("engine/sequencer.py", "go = leads & ~self.waits.any() & ~self.abort", "go = leads & ~self.waits[0] & ~self.abort",
             "the drain's tokens are not waited for", SEQUENCER),
    Mutation("engine/sequencer.py", "self.busy.eq(start.valid | self.start.valid)", "self.busy.eq(self.start.valid)",
             "a start that is on its way is not seen", SEQUENCER),
    # Dispatcher, tokens, supervisor, registers, counters, top level.
    Mutation("engine/dispatch.py", "(past <= slabs)", "(past <= slabs + 1)",
             "a partition may leave the array by one slab", DISPATCH),
    Mutation("engine/dispatch.py", "(view.count != 0) & ", "",
             "a partition without slabs is legal", DISPATCH),
    Mutation("engine/dispatch.py", "Opcode.DRAIN: every_slab | 1 << Unit.LOAD", "Opcode.DRAIN: every_slab | 1 << Unit.LOAD | 1 << Unit.DRAIN",
             "DRAIN may wait for itself", DISPATCH),
    Mutation("engine/dispatch.py", "port.valid.eq(go & ready & member)", "port.valid.eq(go & member)",
             "a MATMUL goes to some queues before all have room", DISPATCH),
    Mutation("engine/dispatch.py", "matmul.first + matmul.count - 1 - s", "matmul.first + matmul.count - s",
             "slabs below counted one too many", DISPATCH),
    Mutation("engine/dependencies.py", "with m.If(give & ~take):", "with m.If(give):",
             "a token that is given while another is taken counts twice", DEPENDENCIES),
    Mutation("engine/dependencies.py", "give & ~take & count.all()", "give & count.all()",
             "overflow although one is taken", DEPENDENCIES),
    Mutation("engine/dependencies.py", "asked & (count == 0)", "asked & (count == 0) & ~give",
             "a token can be taken in the cycle in which it is given", DEPENDENCIES),
    Mutation("engine/supervisor.py", "stopping | failed | resetting)", "stopping | failed)",
             "a reset does not abort", SUPERVISOR),
    Mutation("engine/supervisor.py", "in reversed([self.failures[i] for i in range(len(self.failures))])",
             "in [self.failures[i] for i in range(len(self.failures))]",
             "the last of several failures counts", SUPERVISOR),
    Mutation("engine/supervisor.py", "still == self.patience", "still == self.patience - 1",
             "a deadlock is called one cycle early", SUPERVISOR),
    Mutation("engine/supervisor.py", "with m.If(~self.owed | self.transfer):", "with m.If(self.quiet | self.transfer):",
             "the watchdog bites while only the array works", RESTART),
    Mutation("engine/supervisor.py", "with m.If(stopping & (self.quiet | bitten)):", "with m.If(stopping & self.quiet):",
             "a silent bus keeps the engine from stopping", SUPERVISOR),
    Mutation("engine/supervisor.py", "self.running.eq(0), stopping.eq(0), self.begin.eq(0), resetting.eq(1)",
             "self.running.eq(0), self.begin.eq(0), resetting.eq(1)",
             "a reset leaves the engine stopping", SUPERVISOR),
    Mutation("engine/registers.py", "(value & ~strobes) | (w.data & strobes)", "w.data",
             "write strobes ignored", REGISTERS),
    Mutation("engine/registers.py", "with m.If(busy):", "with m.If(0):",
             "registers can be programmed while the engine works", REGISTERS),
    Mutation("engine/registers.py", "m.d.sync += r.data.eq(high)", "m.d.sync += r.data.eq(value[32:])",
             "the halves of a counter are read at different times", REGISTERS),
    Mutation("engine/registers.py", "(pending & ~cleared) | self.events", "(pending | self.events) & ~cleared",
             "an event in the cycle that clears its bit is lost", REGISTERS),
    Mutation("engine/registers.py", "(self.status & ~Status.DONE).any()", "(self.status & Status.BUSY).any()",
             "START is taken after an error", REGISTERS),
    Mutation("engine/counters.py", "self.values[Counter.ARRAY_CYCLES].eq(elapsed + 1)", "self.values[Counter.ARRAY_CYCLES].eq(elapsed)",
             "ARRAY_CYCLES one cycle short", COUNTERS),
    Mutation("engine/counters.py", "[started.eq(0), elapsed.eq(0)]", "[elapsed.eq(0)]",
             "ARRAY_CYCLES run from the clear on", COUNTERS),
    Mutation("engine/top.py", "asked[unit].eq(Mux(leads, queue.o.p.wait, 0))", "asked[unit].eq(Mux(queue.o.valid, queue.o.p.wait, 0))",
             "followers take tokens too", ERRORS),
    Mutation("engine/top.py", "dependencies.takes[unit].eq(port.command.valid & port.command.ready)",
             "dependencies.takes[unit].eq(port.command.valid)",
             "tokens are taken again in every cycle of waiting", ERRORS),
    Mutation("engine/top.py", "fetch.done & ~held & ~in_array & ~in_units", "fetch.done & ~held & ~in_array",
             "a program ends before its last drain has", ARRAY),
    Mutation("engine/top.py", "supervisor.quiet.eq(~in_array & ~in_units &", "supervisor.quiet.eq(~in_array &",
             "a reset does not wait for the bus", ERRORS),
    Mutation("engine/top.py", "supervisor.quiet.eq(~in_array & ~in_units &", "supervisor.quiet.eq(~in_units &",
             "a reset does not wait for the array", ERRORS),
    Mutation("engine/top.py", "counters.clear.eq(supervisor.clear & registers.start)", "counters.clear.eq(0)",
             "counters run on from program to program", ARRAY),
    # Fetch and LOAD.
    Mutation("engine/fetch.py", "last.eq(index + 1 == length)", "last.eq(index == length)",
             "the fetch gives one instruction too many", FETCH),
    Mutation("engine/burst.py", "page_left = ~beat[:page_bits]", "page_left = ~beat[:page_bits - 1]",
             "bursts are cut at half their length", LOAD),
    Mutation("engine/burst.py", "(address[:beat_bits] + self.transfer.p.last) >> beat_bits", "self.transfer.p.last >> beat_bits",
             "the last beat of an unaligned row is forgotten", LOAD),
    Mutation("engine/load_rows.py", "inside.eq((row.end < window.size)", "inside.eq((row.end <= window.size)",
             "a row may leave the window by one byte", LOAD),
    Mutation("engine/load_chunks.py", "illegal | (address >= depth)", "illegal | (address > depth)",
             "a LOAD may leave its bank by one word", LOAD),
    Mutation("engine/load_chunks.py", "slabs.eq(slabs << 1),", "slabs.eq(slabs),",
             "all tiles go to the first slab", LOAD),
    Mutation("engine/gearbox.py", "enough.eq(touched <= level)", "enough.eq(touched <= level + 1)",
             "a chunk leaves before its last beat is there", GEARBOX),
    Mutation("engine/bank_writer.py", "m.d.sync += drain_turn.eq(~drain_turn)", "m.d.sync += drain_turn.eq(0)",
             "LOAD never gives way to DRAIN", BANK_WRITER),
    # DRAIN.
    Mutation("engine/drain_decoder.py", "instruction.slab >= slabs", "instruction.slab > slabs",
             "the drain of a slab that is not there", DRAIN),
    Mutation("engine/accumulator_reader.py", "READ_LATENCY + half * lanes + width - 1", "READ_LATENCY + half * lanes + width - 2",
             "accumulators taken one cycle before they are there", DRAIN),
    Mutation("engine/segment_packer.py", "self.done.eq(gone & (left == 1))", "self.done.eq(give & (left == 1))",
             "a drain to moving banks is complete with its last row's first chunk", DRAIN),
    Mutation("engine/byte_aligner.py", "flush.eq(word_last & word_beyond.any())", "flush.eq(0)",
             "the end of a row that spills into a second word is lost", DRAIN),
    Mutation("engine/drain_ledger.py", "count + pulse - (jobs.r_en & (oldest_moves == moves))", "count + pulse - jobs.r_en",
             "completions of both outputs share a count", DRAIN),
    Mutation("engine/axi_write.py", "finals.w_data.eq(burst.final & last_range)", "finals.w_data.eq(burst.final)",
             "a drain is complete with its first row", AXI_WRITE),
    Mutation("engine/requantiser.py", "Mux(self.relu & (total < 0), 0, total)", "Mux(self.relu & (total < -1), 0, total)",
             "ReLU lets -1 through", REQUANTISER),
    Mutation("engine/round.py", "guard & (inexact | self.quotient[0])", "guard",
             "ties round up instead of to even", REQUANTISER),
    Mutation("engine/round.py", "sticky | (taken & shifted[:step].any())", "taken & shifted[:step].any()",
             "the sticky bit forgets earlier shifts", REQUANTISER),
    # Software.
    Mutation("numerics/requantise.py", "(quotient & 1 == 1)", "(quotient & 1 == 0)",
             "ties round to odd", REQUANTISER),
    Mutation("numerics/requantise.py", "(remainder > half)", "(remainder >= half)",
             "ties round up", REQUANTISER),
    Mutation("compile/program.py", "if producer > self._taken.get((unit, taker), -1):", "if producer > self._taken.get((unit, taker), -1) + 1:",
             "a token right after another is dropped", COMPILE),
    Mutation("compile/gemm.py", "before = self.parameter_users.get(column_block - tiling.parameter_slots)", "before = None",
             "parameters are loaded over those that a drain still needs", COMPILE),
    Mutation("compile/gemm.py", "self.moving_users[tile.group, moving] = self.stationary_users[tile.group, stationary] = matmul",
             "self.stationary_users[tile.group, stationary] = matmul",
             "moving operands are loaded over those that a pass still needs", COMPILE),
    Mutation("compile/gemm.py", "slot = tile_number % tiling.accumulator_slots", "slot = 0",
             "one accumulator slot too few", COMPILE),
    Mutation("model/machine.py", "for slab in bits(slabs << segment):\n                self.moving", "for slab in bits(slabs):\n                self.moving",
             "the model writes every segment to the first slab", COMPILE),
]  # fmt: skip
