"""The gearbox against slices of bytes."""

import random

import pytest

from cleave.engine.gearbox import Gearbox
from tb.engine.read_memory import receive, send, simulate

SIZES = [(2, 1), (8, 3), (8, 16), (8, 37), (16, 15), (16, 32), (64, 13)]


@pytest.mark.parametrize(("beat_bytes", "chunk_bytes"), SIZES)
@pytest.mark.parametrize("stall", [0, 0.4])
def test_takes_any_bytes(beat_bytes: int, chunk_bytes: int, stall: float, seed: int) -> None:
    """Rows of random lengths from random bytes on, cut into random chunks, with an error beat now and then."""
    rng = random.Random(seed)
    gearbox = Gearbox(beat_bytes, chunk_bytes)
    beats, takes, expected = [], [], []
    while len(takes) < 150:
        offset = rng.randrange(beat_bytes)
        length = rng.randint(1, 3 * chunk_bytes)
        count = -(-(offset + length) // beat_bytes)
        content = rng.randbytes(count * beat_bytes)
        bad = [rng.random() < 0.05 for _ in range(count)]
        beats += [(content[i * beat_bytes:(i + 1) * beat_bytes], bad[i]) for i in range(count)]
        place, end = offset, offset + length
        while place < end:
            size = rng.randint(1, min(chunk_bytes, end - place))
            takes.append({"offset": place % beat_bytes, "count": size, "last": place + size == end})
            error = any(bad[place // beat_bytes:(place + size - 1) // beat_bytes + 1])
            expected.append((content[place:place + size].ljust(chunk_bytes, b"\0"), error))
            place += size

    got = []

    async def feed(ctx) -> None:  # noqa: ANN001
        for content, error in beats:
            while rng.random() < stall:
                await ctx.tick()
            await send(ctx, gearbox.beat, {"data": int.from_bytes(content, "little"), "error": error})

    async def ask(ctx) -> None:  # noqa: ANN001
        for take in takes:
            while rng.random() < stall:
                await ctx.tick()
            await send(ctx, gearbox.take, take)

    async def collect(ctx) -> None:  # noqa: ANN001
        def take(_: int, chunk) -> None:  # noqa: ANN001
            got.append((chunk["data"].to_bytes(chunk_bytes, "little"), bool(chunk["error"])))

        await receive(ctx, gearbox.chunk, rng, stall, take)

    async def main(ctx) -> None:  # noqa: ANN001
        for _ in range(200):
            if len(got) == len(expected):
                break
            await ctx.tick().repeat(20)
        await ctx.tick().repeat(5)

    simulate(gearbox, main, feed, ask, collect)
    assert got == expected


def test_full_rate() -> None:
    """A beat per cycle, through chunks as long as beats but across them."""
    gearbox = Gearbox(16, 16)
    cycles = 200
    taken = 0

    async def main(ctx) -> None:  # noqa: ANN001
        nonlocal taken
        ctx.set(gearbox.beat.valid, 1)
        ctx.set(gearbox.chunk.ready, 1)
        ctx.set(gearbox.take.valid, 1)
        ctx.set(gearbox.take.p, {"offset": 5, "count": 16, "last": 0})
        for _ in range(cycles):
            _, _, ready = await ctx.tick().sample(gearbox.beat.ready)
            taken += ready

    simulate(gearbox, main)
    assert taken == cycles


@pytest.mark.parametrize(("beat_bytes", "chunk_bytes"), [(1, 4), (12, 4), (8, 0)])
def test_refuses_sizes(beat_bytes: int, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gearbox, "_MustUse__silence", 1)  # a component that was refused is not used
    with pytest.raises(ValueError, match=r"must be .*not"):
        Gearbox(beat_bytes, chunk_bytes)
