"""The bank writer: each chunk into its words one cycle later, and turns between LOAD and DRAIN."""

from random import Random

import pytest

from cleave.config import EngineConfig
from cleave.engine.bank_writer import WRITE_LATENCY, BankWriter
from cleave.engine.isa import Destination
from cleave.engine.ports import chunk_bytes, chunk_segments
from tb.engine.load_reference import depth, destinations, empty_banks, write_chunk
from tb.engine.read_memory import CONFIGS, simulate


def random_chunk(config: EngineConfig, rng: Random, destination: Destination) -> dict:
    """Give a chunk whose segments go to different slabs."""
    most = {
        Destination.MOVING: config.segments, Destination.STATIONARY: config.stationary_segments,
        Destination.MOVING_SCALES: config.array.slabs,
    }.get(destination, 1)  # fmt: skip
    slabs, left = [0] * chunk_segments(config), (1 << config.array.slabs) - 1
    for segment in range(0 if destination in (Destination.PARAMETERS, Destination.ROW_PARAMETERS) else most):
        slabs[segment] = left & rng.getrandbits(config.array.slabs)
        left &= ~slabs[segment]
    part = rng.randrange(config.array.load_rows) if destination == Destination.STATIONARY else 0
    rows = 1
    if destination == Destination.STATIONARY and rng.random() < 0.5:  # rows of one word
        rows = rng.randint(1, min(config.array.load_rows - part, config.stationary_rows))
        slabs[1:] = [0] * (len(slabs) - 1)
    return {
        "destination": int(destination),
        "slabs": slabs,
        "address": rng.randrange(depth(config, destination)),
        "parts": ((1 << rows) - 1) << part,
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
        for kind in ("parameters", "row_parameters") if config.block_scales else ("parameters",):
            port = getattr(writer.banks, kind)
            if ctx.get(port.enable):
                content = list(ctx.get(port.data).to_bytes(len(port.data) // 8, "little"))
                banks[kind][ctx.get(port.address)] = content
        for slab, port in enumerate(writer.banks.distances if config.block_scales else []):
            if ctx.get(port.enable):
                banks["distances"][slab, ctx.get(port.address)] = ctx.get(port.data)

    async def main(ctx) -> None:  # noqa: ANN001
        nonlocal longest
        offered: dict[str, dict | None] = {"load": None, "drain": None}
        for _ in range(300):
            for side, chunk in offered.items():
                stream = getattr(writer, side)
                if chunk is None and rng.random() < 0.8:
                    destination = Destination.MOVING if side == "drain" else rng.choice([Destination.MOVING, *destinations(config)])
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
    writer = BankWriter(CONFIGS["scaled"])

    async def main(ctx) -> None:  # noqa: ANN001
        ctx.set(writer.drain.valid, 1)
        ctx.set(writer.load.valid, 1)
        for destination in Destination:
            ctx.set(writer.load.p.destination, destination)
            for _ in range(4):
                both = 1 if destination == Destination.MOVING else 2
                assert ctx.get(writer.load.ready) + ctx.get(writer.drain.ready) == both
                await ctx.tick()

    simulate(writer, main)
