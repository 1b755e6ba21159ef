"""cocotb bench of the whole engine: programs over AXI, with cocotbext-axi as the host and as the memory."""

import os
import random
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam
from numpy.typing import NDArray

from cleave.compile.gemm import CompiledGemm, compile_gemm
from cleave.compile.problem import Problem
from cleave.config import PRESETS
from cleave.engine.isa import Control, Counter, Error, Interrupt, Register, Status

CONFIG = PRESETS[os.environ["CONFIG"]]
MEMORY = 2**20
BASE = 0x4000
SEED = int(os.environ["SEED"])


class Host:
    """The engine's host: registers, memory and interrupt."""

    def __init__(self, dut: HierarchyObject, *, stall: float = 0.0) -> None:
        self.dut = dut
        self.random = random.Random(SEED)
        Clock(dut.clk, 10, unit="ns").start()
        self.memory = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY)
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        if stall:
            read, write = self.memory.read_if, self.memory.write_if
            for channel in (read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel):
                channel.set_pause_generator(self.pauses(stall))

    def pauses(self, probability: float) -> Iterator[bool]:
        """Pause a channel at random."""
        while True:
            yield self.random.random() < probability

    async def reset(self) -> None:
        """Pulse the hardware reset, and program the window."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)
        await self.write(Register.WINDOW_BASE_LOW, BASE)
        await self.write(Register.WINDOW_SIZE_LOW, MEMORY - BASE)
        await self.write(Register.INTERRUPT_ENABLE, Interrupt.DONE | Interrupt.ERROR)

    async def write(self, register: Register, value: int) -> None:
        """Write a register."""
        await self.lite.write_dword(register, int(value))

    async def read(self, register: int) -> int:
        """Read a register."""
        return await self.lite.read_dword(register)

    async def counter(self, counter: Counter) -> int:
        """Read a performance counter."""
        low = await self.read(Register.COUNTERS + 8 * counter)
        return low | await self.read(Register.COUNTERS + 8 * counter + 4) << 32

    async def start(self, offset: int, length: int) -> None:
        """Start a program."""
        await self.write(Register.PROGRAM_LOW, offset)
        await self.write(Register.PROGRAM_LENGTH, length)
        await self.write(Register.CONTROL, Control.START)

    async def finish(self) -> Status:
        """Wait for the interrupt, clear it, and give STATUS."""
        if not self.dut.interrupt.value:
            await with_timeout(RisingEdge(self.dut.interrupt), 2000, "us")
        await self.write(Register.INTERRUPT, Interrupt.DONE | Interrupt.ERROR)
        return Status(await self.read(Register.STATUS))

    async def soft_reset(self) -> None:
        """Reset by CONTROL, and wait for its end."""
        await self.write(Register.CONTROL, Control.RESET)
        for _ in range(1000):
            if await self.read(Register.STATUS) == 0:
                return
        raise AssertionError("the soft reset does not end")

    def prepare(
        self, m: int, k: int, n: int, partition: int | None = None
    ) -> tuple[CompiledGemm, NDArray[np.int64]]:
        """Put a random GEMM with extreme operands into memory."""
        rng = np.random.default_rng(self.random.getrandbits(32))
        a, b = (rng.choice([-128, 127, *range(-128, 128)], shape).astype(np.int8) for shape in [(m, k), (k, n)])
        gemm = compile_gemm(Problem(m, k, n), CONFIG, partition=partition)
        window = np.zeros(gemm.end, np.uint8)
        gemm.place(window, a, b)
        self.memory.write(BASE, window.tobytes())
        return gemm, a.astype(int) @ b.astype(int)

    async def check(self, gemm: CompiledGemm, expected: NDArray[np.int64]) -> None:
        """Run a prepared GEMM to its end and compare."""
        await self.start(gemm.start, len(gemm.program) // 32)
        status = await self.finish()
        assert status == Status.DONE, (status, Error(await self.read(Register.ERROR)))
        window = np.frombuffer(self.memory.read(BASE, gemm.end), np.uint8)
        assert np.array_equal(gemm.result(window), expected)
        m, n = expected.shape
        cycles = await self.counter(Counter.CYCLES)
        slab_cycles = [await self.counter(c) for c in Counter if c >= Counter.STREAMING]
        assert sum(slab_cycles) == CONFIG.array.slabs * cycles
        assert await self.counter(Counter.USEFUL_MACS) == m * n * gemm.problem.k


SIZES = [
    (1, 1, 1),
    (CONFIG.array.rows - 1, CONFIG.array.rows + 1, CONFIG.array.columns + 1),
    (CONFIG.array.rows + 1, CONFIG.array.slabs * CONFIG.array.rows, CONFIG.array.columns - 1),
    (13, 47, 29),
    (3, 3 * CONFIG.moving_depth, 2),
    (CONFIG.accumulator_depth + 5, 11, 7),
]


@cocotb.test()
@cocotb.parametrize(size=SIZES)
@cocotb.parametrize(stall=[0.0, 0.4])
async def gemm(dut: HierarchyObject, size: tuple[int, int, int], stall: float) -> None:
    """A GEMM equals numpy, for every partition."""
    host = Host(dut, stall=stall)
    await host.reset()
    for partition in range(1, CONFIG.array.slabs + 1):
        await host.check(*host.prepare(*size, partition))


@cocotb.test()
async def identity(dut: HierarchyObject) -> None:
    """The engine says what it is; a hole in the register map is an error."""
    host = Host(dut)
    await host.reset()
    array = CONFIG.array
    assert await host.read(Register.SHAPE) == array.slabs | array.rows << 8 | array.columns << 20
    assert (await host.lite.read(0x7F0, 4)).resp == 2
    assert (await host.lite.write(Register.STATUS, b"\1\0\0\0")).resp == 2


@cocotb.test()
async def illegal_instruction(dut: HierarchyObject) -> None:
    """Cleared memory stops the engine with a code; a soft reset recovers it."""
    host = Host(dut)
    await host.reset()
    await host.start(0, 3)
    assert await host.finish() == Status.ERROR
    assert await host.read(Register.ERROR) == Error.ILLEGAL_INSTRUCTION
    assert await host.read(Register.ERROR_INSTRUCTION) == 0
    assert (await host.lite.write(Register.CONTROL, b"\1\0\0\0")).resp == 2
    await host.soft_reset()
    await host.check(*host.prepare(5, 6, 7))


@cocotb.test()
async def outside_window(dut: HierarchyObject) -> None:
    """A window that ends before the operands stops the engine; nothing outside is touched."""
    host = Host(dut)
    await host.reset()
    gemm, expected = host.prepare(9, 20, 9)
    await host.write(Register.WINDOW_SIZE_LOW, 64)
    await host.start(gemm.start, len(gemm.program) // 32)
    assert await host.finish() == Status.ERROR
    assert await host.read(Register.ERROR) == Error.WINDOW
    await host.soft_reset()
    await host.write(Register.WINDOW_SIZE_LOW, MEMORY - BASE)
    await host.check(gemm, expected)


@cocotb.test()
@cocotb.parametrize(soft=[False, True])
async def reset_in_the_middle(dut: HierarchyObject, soft: bool) -> None:
    """A reset at any time leaves an engine that computes rightly."""
    host = Host(dut, stall=0.3 if soft else 0.0)
    await host.reset()
    for _ in range(8):
        gemm, _ = host.prepare(17, 40, 23)
        await host.start(gemm.start, len(gemm.program) // 32)
        await ClockCycles(dut.clk, host.random.randrange(1, 600))
        if soft:
            await host.soft_reset()
        else:
            await host.reset()
        await host.write(Register.INTERRUPT, Interrupt.DONE | Interrupt.ERROR)
        await host.check(*host.prepare(9, 13, 11))
