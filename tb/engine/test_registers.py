"""The registers, over their bus: what can be written when, what reads give, and that counters' halves belong together."""

from collections.abc import Callable
from random import Random

from amaranth.sim import Simulator

from cleave.config import PRESETS
from cleave.engine.axi import OKAY, SLVERR
from cleave.engine.isa import IDENTITY, Control, Counter, Error, Interrupt, Register, Status
from cleave.engine.registers import Registers

CONFIG = PRESETS["odd"]
PROGRAMMED = {
    Register.INTERRUPT_ENABLE: 2, Register.PROGRAM_LENGTH: 32, Register.PROGRAM_LOW: 32, Register.PROGRAM_HIGH: 16,
    Register.WINDOW_BASE_LOW: 32, Register.WINDOW_BASE_HIGH: CONFIG.axi_address_width - 32,
    Register.WINDOW_SIZE_LOW: 32, Register.WINDOW_SIZE_HIGH: 16, Register.WATCHDOG: 32,
}  # fmt: skip
"""Registers that can be written, and their bits."""

READ_ONLY = (Register.IDENTITY, Register.STATUS, Register.ERROR, Register.ERROR_INSTRUCTION, Register.SHAPE)
COUNTERS = range(Register.COUNTERS, Register.COUNTERS + 8 * len(Counter), 4)
NOWHERE = (0x40, 0x7C, COUNTERS.stop, 0x7F0, 0xFFC)


class Host:
    """Drives the bus; `pulses` collects the cycles in which START or RESET were high."""

    def __init__(self, ctx, dut: Registers, rng: Random) -> None:  # noqa: ANN001
        self.ctx, self.dut, self.rng = ctx, dut, rng
        self.pulses: list[Control] = []

    async def tick(self) -> tuple:
        bus = self.dut.bus
        watched = (self.dut.start, self.dut.reset, bus.aw.ready, bus.w.ready, bus.b.valid, bus.b.resp, bus.ar.ready,
                   bus.r.valid, bus.r.data, bus.r.resp)  # fmt: skip
        _, _, start, reset, *rest = await self.ctx.tick().sample(*watched)
        if start or reset:
            self.pulses.append(Control(Control.START * start | Control.RESET * reset))
        return tuple(rest)

    def stalls(self) -> int:
        return self.rng.choice([0, 0, 1, 3])

    async def write(self, address: int, value: int, strobes: int = 0xF) -> int:
        """Write with address and data at different times; give the response."""
        ctx, bus = self.ctx, self.dut.bus
        waits = {bus.aw: self.stalls(), bus.w: self.stalls()}
        ctx.set(bus.aw.addr, address)
        ctx.set(bus.w.data, value)
        ctx.set(bus.w.strb, strobes)
        offered, accept = set(waits), self.stalls()
        for cycle in range(20):
            for channel in offered:
                ctx.set(channel.valid, waits[channel] <= cycle)
            ctx.set(bus.b.ready, not offered and accept == 0)
            accept -= bool(not offered and accept)
            was_ready = ctx.get(bus.b.ready)
            aw, w, valid, resp, *_ = await self.tick()
            for channel, ready in [(bus.aw, aw), (bus.w, w)]:
                if channel in offered and ready and ctx.get(channel.valid):
                    offered.remove(channel)
                    ctx.set(channel.valid, 0)
            if valid and was_ready:
                ctx.set(bus.b.ready, 0)
                return resp
        raise AssertionError("no answer")

    async def read(self, address: int) -> tuple[int, int]:
        """Read; give value and response."""
        ctx, bus = self.ctx, self.dut.bus
        ctx.set(bus.ar.addr, address)
        ctx.set(bus.ar.valid, 1)
        accept = self.stalls()
        held = None
        for _ in range(20):
            *_, ready, valid, data, resp = await self.tick()
            assert held is None or (valid, data, resp) == held
            if ready and ctx.get(bus.ar.valid):
                ctx.set(bus.ar.valid, 0)
            if valid:
                held = valid, data, resp
                if ctx.get(bus.r.ready):
                    ctx.set(bus.r.ready, 0)
                    return data, resp
                ctx.set(bus.r.ready, accept == 0)
                accept = max(0, accept - 1)
        raise AssertionError("no answer")

    async def get(self, address: int) -> int:
        value, response = await self.read(address)
        assert response == OKAY
        return value


def hosted(test: Callable) -> Callable[[int], None]:
    """Run `test(host)`."""

    def run(seed: int) -> None:
        async def bench(ctx) -> None:  # noqa: ANN001
            await test(Host(ctx, dut, Random(seed)))

        dut = Registers(CONFIG)
        simulator = Simulator(dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()

    run.__name__ = test.__name__
    return run


@hosted
async def test_programmed_registers_and_strobes(host: Host) -> None:
    rng, ctx, dut = host.rng, host.ctx, host.dut
    expected = dict.fromkeys(PROGRAMMED, 0)
    for _ in range(150):
        register = rng.choice(list(PROGRAMMED))
        value, strobes = rng.getrandbits(32), rng.choice([0xF, 0xF, rng.getrandbits(4)])
        mask = sum(0xFF << 8 * i for i in range(4) if strobes >> i & 1)
        assert await host.write(register + rng.randrange(4), value, strobes) == OKAY
        expected[register] = (expected[register] & ~mask | value & mask) & (1 << PROGRAMMED[register]) - 1
        probe = rng.choice(list(PROGRAMMED))
        assert await host.get(probe) == expected[probe]
    e = expected
    assert ctx.get(dut.program) == e[Register.PROGRAM_LOW] | e[Register.PROGRAM_HIGH] << 32
    assert ctx.get(dut.window.base) == e[Register.WINDOW_BASE_LOW] | e[Register.WINDOW_BASE_HIGH] << 32
    assert ctx.get(dut.window.size) == e[Register.WINDOW_SIZE_LOW] | e[Register.WINDOW_SIZE_HIGH] << 32
    assert ctx.get(dut.length) == e[Register.PROGRAM_LENGTH]
    assert ctx.get(dut.watchdog) == e[Register.WATCHDOG]
    assert not host.pulses


@hosted
async def test_nothing_is_programmed_while_busy(host: Host) -> None:
    for register in PROGRAMMED:
        assert await host.write(register, 1) == OKAY
    for status in (Status.BUSY, Status.BUSY | Status.RESETTING):
        host.ctx.set(host.dut.status, status)
        for register in PROGRAMMED:
            assert await host.write(register, 2) == SLVERR
            assert await host.get(register) == 1
    for status in (Status(0), Status.DONE, Status.ERROR):
        host.ctx.set(host.dut.status, status)
        assert await host.write(Register.WATCHDOG, 3 + status) == OKAY
        assert await host.get(Register.WATCHDOG) == 3 + status


@hosted
async def test_start_and_reset(host: Host) -> None:
    ctx, dut = host.ctx, host.dut
    idle = (Status(0), Status.DONE)
    for status in (*idle, Status.BUSY, Status.ERROR, Status.BUSY | Status.RESETTING, Status.BUSY | Status.DONE):
        ctx.set(dut.status, status)
        host.pulses.clear()
        response = await host.write(Register.CONTROL, Control.START)
        assert (response, host.pulses) == ((OKAY, [Control.START]) if status in idle else (SLVERR, [])), status
        host.pulses.clear()
        assert await host.write(Register.CONTROL, Control.RESET) == OKAY
        assert host.pulses == [Control.RESET]
        host.pulses.clear()
        await host.write(Register.CONTROL, Control.RESET | Control.START)
        assert host.pulses == [Control.RESET], "a reset beats a start"
    host.pulses.clear()
    assert await host.write(Register.CONTROL, 0xFFFFFFFF, strobes=0b1110) == OKAY
    assert not host.pulses, "without its strobe, a byte is not written"
    assert await host.get(Register.CONTROL) == 0


@hosted
async def test_what_can_only_be_read(host: Host) -> None:
    ctx, dut, array = host.ctx, host.dut, CONFIG.array
    ctx.set(dut.status, Status.DONE | Status.ERROR)
    ctx.set(dut.error, Error.WATCHDOG)
    ctx.set(dut.error_instruction, 0xDEADBEEF)
    expected = {
        Register.IDENTITY: IDENTITY, Register.STATUS: Status.DONE | Status.ERROR, Register.ERROR: Error.WATCHDOG,
        Register.ERROR_INSTRUCTION: 0xDEADBEEF, Register.CONTROL: 0,
        Register.SHAPE: array.slabs | (array.lanes == 2) << 7 | array.rows << 8 | array.columns << 20,
    }  # fmt: skip
    for register, value in expected.items():
        assert await host.get(register) == value
    for address in (*READ_ONLY, *COUNTERS, *NOWHERE):
        assert await host.write(address, 0xFFFFFFFF) == SLVERR, hex(address)
    for address in NOWHERE:
        assert await host.read(address) == (0, SLVERR), hex(address)
    for register, value in expected.items():
        assert await host.get(register) == value


@hosted
async def test_interrupts(host: Host) -> None:
    ctx, dut = host.ctx, host.dut
    both = Interrupt.DONE | Interrupt.ERROR

    async def event(which: int) -> None:
        ctx.set(dut.events, which)
        await host.tick()
        ctx.set(dut.events, 0)

    for which in Interrupt:
        await event(which)
        assert await host.get(Register.INTERRUPT) == which and not ctx.get(dut.interrupt)
        assert await host.write(Register.INTERRUPT_ENABLE, both & ~which) == OKAY
        assert not ctx.get(dut.interrupt)
        assert await host.write(Register.INTERRUPT_ENABLE, which) == OKAY
        assert ctx.get(dut.interrupt)
        assert await host.write(Register.INTERRUPT, both & ~which) == OKAY
        assert await host.write(Register.INTERRUPT, which, strobes=0b1110) == OKAY
        assert ctx.get(dut.interrupt)
        ctx.set(dut.status, Status.BUSY)  # an interrupt can be cleared at any time
        assert await host.write(Register.INTERRUPT, which) == OKAY
        ctx.set(dut.status, 0)
        assert not ctx.get(dut.interrupt) and await host.get(Register.INTERRUPT) == 0
        assert await host.write(Register.INTERRUPT_ENABLE, 0) == OKAY

    # An event in the cycle of the write that clears its bit is not lost.
    await event(Interrupt.DONE)
    ctx.set(dut.bus.aw.addr, Register.INTERRUPT)
    ctx.set(dut.bus.w.data, both)
    ctx.set(dut.bus.w.strb, 0xF)
    ctx.set(dut.bus.aw.valid, 1)
    ctx.set(dut.bus.w.valid, 1)
    await event(Interrupt.DONE)
    ctx.set(dut.bus.aw.valid, 0)
    ctx.set(dut.bus.w.valid, 0)
    ctx.set(dut.bus.b.ready, 1)
    await host.tick()
    ctx.set(dut.bus.b.ready, 0)
    assert await host.get(Register.INTERRUPT) == Interrupt.DONE


@hosted
async def test_halves_of_a_counter_belong_together(host: Host) -> None:
    ctx, dut = host.ctx, host.dut
    values = [host.rng.getrandbits(64) for _ in Counter]
    for counter, value in zip(Counter, values, strict=True):
        ctx.set(dut.counters[counter], value)
    for counter in Counter:
        low = await host.get(Register.COUNTERS + 8 * counter)
        ctx.set(dut.counters[counter], 0)  # it has gone on
        high = await host.get(Register.COUNTERS + 8 * counter + 4)
        assert low | high << 32 == values[counter]
