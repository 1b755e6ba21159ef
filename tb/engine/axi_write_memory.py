"""A memory behind an AXI4 write port, and the protocol's rules, checked on every cycle."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import numpy as np

from cleave.config import EngineConfig
from cleave.engine.axi import BURST_INCR, OKAY, Axi4Write


@dataclass
class Burst:
    """A burst as its address was accepted, and the cycle in which its response may come."""

    address: int
    beats: int
    data: list[tuple[int, int]] = field(default_factory=list)
    due: int = 0


class AxiWriteMemory:
    """Take bursts with random stalls; bytes change when their burst's response is given, not earlier.

    `step` is called once per cycle, after the clock edge, with what stood on the channels before it.
    """

    def __init__(
        self,
        config: EngineConfig,
        port: Axi4Write,
        random: Random,
        *,
        base: int = 0,
        size: int = 1 << 14,
        stall: float = 0.0,
        latency: tuple[int, int] = (1, 1),
    ) -> None:
        self.config, self.port, self.random = config, port, random
        self.base, self.stall, self.latency = base, stall, latency
        self.bytes = np.array([random.randrange(256) for _ in range(size)], dtype=np.uint8)
        self.responses: dict[int, int] = {}  # burst number -> resp
        self.addressed: deque[Burst] = deque()  # no response yet
        self.words: deque[tuple[int, int]] = deque()  # of bursts whose address has not come
        self.bursts = self.beats = self.answered = 0
        self.beat_cycles: list[int] = []
        self.most_outstanding = 0
        self._held: dict[str, tuple[int, ...]] = {}

    def signals(self) -> list:
        aw, w, b = self.port.aw, self.port.w, self.port.b
        return [
            aw.valid, aw.ready, aw.addr, aw.len, aw.size, aw.burst,
            w.valid, w.ready, w.data, w.strb, w.last, b.ready,
        ]  # fmt: skip

    @property
    def idle(self) -> bool:
        return not self.addressed and not self._held

    def _steady(self, channel: str, valid: int, ready: int, payload: tuple[int, ...]) -> bool:
        """Whether the channel transfers; checks that an offer is held until it is accepted."""
        if channel in self._held:
            assert valid, f"{channel} dropped its offer"
            assert payload == self._held[channel], f"{channel} changed its offer"
        self._held.pop(channel, None)
        if valid and not ready:
            self._held[channel] = payload
        return bool(valid and ready)

    def step(self, ctx, cycle: int, values: list[int]) -> None:  # noqa: ANN001
        (aw_valid, aw_ready, addr, length, size, burst,
         w_valid, w_ready, data, strobe, last, b_ready) = values  # fmt: skip
        width = self.config.axi_bytes
        if self._steady("AW", aw_valid, aw_ready, (addr, length, size, burst)):
            assert burst == BURST_INCR
            assert 1 << size == width
            assert length < self.config.max_burst
            start = addr - addr % width
            assert addr // 4096 == (start + (length + 1) * width - 1) // 4096, "burst crosses 4 KiB"
            self.addressed.append(Burst(start, length + 1))
            self.bursts += 1
        if self._steady("W", w_valid, w_ready, (data, strobe, last)):
            self.words.append((data, strobe, last))
            self.beats += 1
            self.beat_cycles.append(cycle)
        for entry in self.addressed:
            while self.words and len(entry.data) < entry.beats:
                data, strobe, last = self.words.popleft()
                entry.data.append((data, strobe))
                assert last == (len(entry.data) == entry.beats), "WLAST in the wrong place"
                if last:
                    entry.due = cycle + self.random.randint(*self.latency)
        self.most_outstanding = max(self.most_outstanding, len(self.addressed))

        # Responses, in order.
        assert b_ready, "BREADY must always be high"
        first = self.addressed[0] if self.addressed else None
        respond = first is not None and len(first.data) == first.beats and cycle >= first.due
        ctx.set(self.port.b.valid, respond)
        if respond:
            resp = self.responses.get(self.answered, OKAY)
            ctx.set(self.port.b.resp, resp)
            if resp == OKAY:
                self._apply(first)
            self.addressed.popleft()
            self.answered += 1
        ctx.set(self.port.aw.ready, self.random.random() >= self.stall)
        ctx.set(self.port.w.ready, self.random.random() >= self.stall)

    def _apply(self, burst: Burst) -> None:
        width = self.config.axi_bytes
        for number, (data, strobe) in enumerate(burst.data):
            address = burst.address + number * width - self.base
            for lane in range(width):
                if strobe >> lane & 1:
                    assert 0 <= address + lane < len(self.bytes), "write outside the memory"
                    self.bytes[address + lane] = data >> (8 * lane) & 0xFF
