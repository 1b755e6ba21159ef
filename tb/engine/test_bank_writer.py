"""The bank writer: each chunk into its words one cycle later, and turns between LOAD and DRAIN."""

from random import Random

import pytest

from cleave.config import EngineConfig
from cleave.engine.bank_writer import WRITE_LATENCY, BankWriter
from cleave.engine.isa import Destination
from cleave.engine.ports import chunk_bytes
from tb.engine.load_reference import depth, empty_banks, write_chunk
from tb.engine.read_memory import CONFIGS, simulate


def random_chunk(config: EngineConfig, rng: Random, destination: int) -> dict:
    """Give a chunk whose segments go to different slabs."""
    slabs, left = [], (1 << config.array.slabs) - 1
    for segment in range(config.segments):
        mask = left & rng.getrandbits(config.array.slabs)
        left &= ~mask
        slabs.append(mask if destination == Destination.MOVING or segment == 0 else 0)
    if destination == Destination.PARAMETERS:
        slabs = [0] * config.segments
    return {
        "destination": int(destination),
        "slabs": slabs,
        "address": rng.randrange(depth(config, destination)),
        "part": rng.randrange(config.array.load_rows),
        "data": rng.getrandbits(8 * chunk_bytes(config)),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_writes_both_streams_and_takes_turns(name: str, seed: int) -> None:
    config, rng = CONFIGS[name], Random(seed)
    writer = BankWriter(config)
    banks, expected = empty_banks(config), empty_banks(config)
    waited = {"load": 0, "drain": 0}
    longest = 0

    def write_ports(ctx) -> None:  # noqa: ANN001
        """Do what stands on the write ports, as the memories do at the end of this cycle."""
        array = config.array
        for kind, ports, width in (
            ("moving", writer.banks.moving, array.rows), ("stationary", writer.banks.stationary, array.columns),
        ):
            for slab, port in enumerate(ports):
                enable, address = ctx.get(port.enable), ctx.get(port.address)
                content = list(ctx.get(port.data).to_bytes(len(port.data) // 8, "little"))
                if kind == "moving" and enable:
                    banks[kind][slab, address] = content
                for part in range(array.load_rows if kind == "stationary" else 0):
                    if enable >> part & 1:
                        banks[kind][slab, address, part] = content[part * width:(part + 1) * width]
        port = writer.banks.parameters
        if ctx.get(port.enable):
            content = list(ctx.get(port.data).to_bytes(len(port.data) // 8, "little"))
            banks["parameters"][ctx.get(port.address)] = content

    async def main(ctx) -> None:  # noqa: ANN001
        nonlocal longest
        offered: dict[str, dict | None] = {"load": None, "drain": None}
        for _ in range(300):
            for side, chunk in offered.items():
                stream = getattr(writer, side)
                if chunk is None and rng.random() < 0.8:
                    destination = Destination.MOVING if side == "drain" else rng.choice([0, 0, *Destination])
                    offered[side] = random_chunk(config, rng, destination)
                    ctx.set(stream.p, offered[side])
                ctx.set(stream.valid, offered[side] is not None)
            accepted = []
            for side, chunk in offered.items():
                stream = getattr(writer, side)
                if chunk is not None and ctx.get(stream.ready):
                    accepted.append(ctx.get(stream.p))
                    offered[side], waited[side] = None, 0
                elif chunk is not None:
                    waited[side] += 1
                longest = max(longest, waited[side])
            await ctx.tick()
            for chunk in accepted:
                write_chunk(config, expected, chunk)
            write_ports(ctx)
            for kind, bank in expected.items():
                assert (banks[kind] == bank).all(), kind

    assert WRITE_LATENCY == 1
    simulate(writer, main)
    assert longest == 1, "neither side waits twice"


def test_accepts_from_both_when_they_go_to_different_banks() -> None:
    config = CONFIGS["default"]
    writer = BankWriter(config)

    async def main(ctx) -> None:  # noqa: ANN001
        ctx.set(writer.drain.valid, 1)
        ctx.set(writer.load.valid, 1)
        for destination, both in ((Destination.STATIONARY, 2), (Destination.PARAMETERS, 2), (Destination.MOVING, 1)):
            ctx.set(writer.load.p.destination, destination)
            for _ in range(4):
                assert ctx.get(writer.load.ready) + ctx.get(writer.drain.ready) == both
                await ctx.tick()

    simulate(writer, main)
