"""cocotb bench of the seam: random rows, cut or fused, accumulating or not, with the drain reading between."""

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge, Timer

from cleave.array.tokens import row_layout
from tb.array.drive import ARRAY, CONFIG, begin, signed, token

LAYOUT = row_layout(CONFIG)
BITS = CONFIG.accumulator_bits
IDLE = {"write": 0, "accumulate": 0, "fused": 0, "address": 0, "scaled": 0}
IDLE = {name: value for name, value in IDLE.items() if name in LAYOUT.members}


def wrapped(value: int) -> int:
    """Wrap to an accumulator."""
    return (value + 2 ** (BITS - 1)) % 2**BITS - 2 ** (BITS - 1)


@cocotb.test()
async def rows(dut: HierarchyObject) -> None:
    """Sums go south and into the accumulators as the docstring says; the drain reads what is there."""
    rng = await begin(dut)
    memory: dict[int, int] = {}
    line = [IDLE, IDLE, IDLE]  # the tokens at read, add and write
    total = None
    drained, asked = 0, None  # what the drain read in the cycle before, and where
    recent: list[int] = []
    waiting = held = 0  # the column's distances
    for cycle in range(4000):
        address = int(rng.integers(CONFIG.accumulator_depth))
        fresh = address not in recent
        accumulate = fresh and address in memory and rng.random() < 0.6
        row = {"write": int(accumulate or rng.random() < 0.7), "accumulate": int(accumulate), "address": address,
               "fused": int(rng.random() < 0.5)}  # fmt: skip
        if CONFIG.block_scales:
            row |= {"swap": int(rng.random() < 0.2), "shift": int(rng.integers(rng.choice([2, 30, 64])))}
            row["scaled"] = int(rng.random() < 0.8)
        recent = [address if row["write"] else -1, *recent[:1]]
        line = [row, *line[:2]]
        read, add, write = line

        choices = [a for a in memory if not (read["accumulate"] and (a - address) % 2 == 0) and a != write["address"]]
        drain = int(rng.choice(choices)) if choices and rng.random() < 0.7 else None
        product = int(rng.integers(-(2 ** (ARRAY.product_bits - 1)), 2 ** (ARRAY.product_bits - 1)))
        north = int(rng.integers(-(2**30), 2**30))
        dut.read.value, dut.add.value, dut.write.value = (token(LAYOUT, **item) for item in line)
        dut.product.value = product % 2**ARRAY.product_bits
        dut.from_north.value = ~north % 2**BITS
        dut.drain.value = int(drain is not None)
        dut.drain_address.value = drain if drain is not None else 0
        dut.drained_half.value = 0 if asked is None else 1 << asked % 2

        scaled = product
        if CONFIG.block_scales:
            distance, write_distance = int(rng.integers(rng.choice([4, 40, 256]))), rng.random() < 0.2
            dut.distance.value, dut.distance_write.value = distance, int(write_distance)
            scaled = (product << BITS - ARRAY.product_bits) >> add.get("shift", 0) + add["scaled"] * held
            if read["swap"]:
                held = waiting
            if write_distance:
                waiting = distance
        due = scaled + (north if add["fused"] else 0) + (memory[add["address"]] if add["accumulate"] else 0)
        if write["write"]:
            assert total is not None
            memory[write["address"]] = total  # visible to reads of the next cycle
        expected = 0 if asked is None else drained
        drained, asked = memory[drain] if drain is not None else 0, drain
        await Timer(1, unit="ns")
        assert signed(dut.drained) == expected, cycle
        await FallingEdge(dut.clk)
        total = wrapped(due)
        assert ~signed(dut.to_south) == total, cycle
    assert len(memory) == CONFIG.accumulator_depth
