"""The engine as a compiled model, with a DRAM behind its bus, driven from Python."""

import ctypes
from ctypes import c_char_p, c_double, c_int, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..config import DRAM_BYTES, DRAM_LATENCY, EngineConfig
from ..engine.axi import OKAY, SLVERR
from ..engine.isa import INSTRUCTION_BYTES, Control, Counter, Error, Interrupt, Register, Status
from ..errors import EngineError
from .build import Report, model_library

BASE = 0x8000_0000
"""Bus address of the memory's first byte: not 0, so that forgetting to add it shows."""

_FAILED = -2


class SimulationTimeoutError(TimeoutError):
    """The engine did not finish within the cycles that it was given."""


class SimulationError(RuntimeError):
    """An assertion in the hardware failed, or the engine broke a rule of its bus. The simulator cannot go on."""


@dataclass(frozen=True)
class RunResult:
    """What a finished program leaves.

    Attributes
    ----------
    counters
        The performance counters.
    status
        The STATUS register.
    """

    counters: dict[Counter, int]
    status: Status


class Simulator:
    """One engine with its memory.

    Parameters
    ----------
    config
        The engine; its compiled model comes from the cache, or is built (see `build.model_library`).
    latency
        Cycles from a read's address to its first beat, and from a write's last beat to its response; at least 1.
    bandwidth
        Bytes a cycle that reads and writes share; by default one beat.
    seed
        Of the noise that memories hold at first, and of the stalls.
    stalls
        Probability, 0 to below 1, that a channel of either bus pauses for a cycle; above 0, reads of different IDs are
        also answered in any order.
    trace
        File for the waveform of every signal (VCD). Needs a model of its own, which is slower.
    memory_bytes
        Bytes of memory, in whole beats.
    report
        Told what a build is doing.

    Attributes
    ----------
    memory : NDArray[np.uint8]
        The memory itself; bus address `BASE + i` is `memory[i]`, and the engine's window is all of it.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    BuildError
        If the model has to be built and cannot be.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        latency: int = DRAM_LATENCY,
        bandwidth: float | None = None,
        seed: int = 0,
        stalls: float = 0.0,
        trace: Path | str | None = None,
        memory_bytes: int = DRAM_BYTES,
        report: Report | None = None,
    ) -> None:
        bandwidth = float(config.axi_bytes if bandwidth is None else bandwidth)
        for name, holds, rule, value in [
            ("latency", 1 <= latency < 2**32, "1 or more", latency),
            ("bandwidth", 0 < bandwidth < float("inf"), "above 0", bandwidth),
            ("seed", 0 <= seed < 2**63, "0 or more", seed),
            ("stalls", 0 <= stalls < 1, "0 to below 1", stalls),
            ("memory_bytes", memory_bytes > 0 and memory_bytes % config.axi_bytes == 0, "whole beats, 1 or more", memory_bytes),
        ]:
            if not holds:
                raise ValueError(f"{name} must be {rule}, not {value}")
        self.config = config
        self._machine = None
        self._library = _load(model_library(config, trace=trace is not None, report=report))
        self.memory: NDArray[np.uint8] = np.zeros(memory_bytes, np.uint8)  # taken from the system only as it is written
        pointer = self.memory.ctypes.data_as(ctypes.POINTER(c_uint8))
        path = None if trace is None else str(trace).encode()
        self._machine = self._library.cleave_create(
            pointer, memory_bytes, BASE, latency, bandwidth, seed, stalls, path
        )
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation; `memory` stays."""
        machine, self._machine = getattr(self, "_machine", None), None
        if machine is not None:
            self._library.cleave_destroy(machine)

    @property
    def cycle(self) -> int:
        """Clock cycles since the beginning."""
        return self._library.cleave_cycle(self._open())

    def reset(self, cycles: int = 2) -> None:
        """Hold the reset input; the memory's contents stay."""
        self._check(self._library.cleave_reset(self._open(), _natural(cycles)))

    def step(self, cycles: int = 1) -> None:
        """Let time pass."""
        self._check(self._library.cleave_step(self._open(), _natural(cycles)))

    def fault(self, offset: int, response: int = SLVERR) -> None:
        """Let every bus beat that holds `memory[offset]` answer with an error."""
        self._library.cleave_fault(self._open(), BASE + offset, response)

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._library.cleave_clear_faults(self._open())

    def write_register(self, offset: int, value: int) -> int:
        """Write a register; give the bus response."""
        return self._check_answer(self._library.cleave_write_register(self._open(), offset, value))

    def read_register(self, offset: int) -> tuple[int, int]:
        """Read a register; give its value and the bus response."""
        value = c_uint32()
        response = self._check_answer(self._library.cleave_read_register(self._open(), offset, ctypes.byref(value)))
        return value.value, response

    def set(self, register: int, value: int) -> None:
        """Write a register that takes it.

        Raises
        ------
        SimulationError
            If the engine refuses.
        """
        if self.write_register(register, value) != OKAY:
            raise SimulationError(f"the engine refused to write 0x{value:x} to register 0x{register:x}")

    def get(self, register: int) -> int:
        """Read a register that exists."""
        value, response = self.read_register(register)
        if response != OKAY:
            raise SimulationError(f"the engine refused to read register 0x{register:x}")
        return value

    def get_pair(self, low: int) -> int:
        """Read a 64-bit register, low half first."""
        return self.get(low) | self.get(low + 4) << 32

    def counters(self) -> dict[Counter, int]:
        """Read all performance counters."""
        return {counter: self.get_pair(Register.COUNTERS + 8 * counter) for counter in Counter}

    def wait(self, max_cycles: int) -> bool:
        """Let time pass until the interrupt; False if it does not come within so many cycles."""
        return bool(self._check(self._library.cleave_run(self._open(), _natural(max_cycles))))

    def start(self, program_offset: int, length: int, *, watchdog: int = 0) -> None:
        """Program the window and the rest, and START; `wait` for the interrupt then."""
        pairs = [
            (Register.PROGRAM_LOW, program_offset),
            (Register.WINDOW_BASE_LOW, BASE),
            (Register.WINDOW_SIZE_LOW, len(self.memory)),
        ]
        for low, value in pairs:
            self.set(low, value & 0xFFFF_FFFF)
            self.set(low + 4, value >> 32)
        self.set(Register.PROGRAM_LENGTH, length)
        self.set(Register.WATCHDOG, watchdog)
        self.set(Register.INTERRUPT_ENABLE, Interrupt.DONE | Interrupt.ERROR)
        self.set(Register.INTERRUPT, Interrupt.DONE | Interrupt.ERROR)
        self.set(Register.CONTROL, Control.START)

    def soft_reset(self, max_cycles: int = 100_000) -> None:
        """Let the engine reset itself, and wait until it has.

        Raises
        ------
        SimulationTimeoutError
            If it takes longer than `max_cycles`.
        """
        self.set(Register.CONTROL, Control.RESET)
        end = self.cycle + max_cycles
        while self.get(Register.STATUS) & Status.RESETTING:
            if self.cycle > end:
                raise SimulationTimeoutError(f"no end of the soft reset after {max_cycles} cycles")

    def run(self, program_offset: int, length: int, *, max_cycles: int = 10**9, watchdog: int = 0) -> RunResult:
        """Run the program of `length` instructions at `memory[program_offset]` to its end.

        Raises
        ------
        EngineError
            If the engine stops with an error. It stays stopped, for a look at it, until `soft_reset`.
        SimulationTimeoutError
            If it does not stop within `max_cycles`.
        SimulationError
            If the model fails an assertion or breaks a rule of the bus.
        ValueError
            If the program is not inside the memory.
        """
        if program_offset < 0 or length < 0 or program_offset + length * INSTRUCTION_BYTES > len(self.memory):
            raise ValueError(f"the program must lie inside the memory of {len(self.memory)} bytes")
        self.start(program_offset, length, watchdog=watchdog)
        if not self.wait(max_cycles):
            raise SimulationTimeoutError(f"the program of {length} instructions did not end within {max_cycles} cycles")
        status = Status(self.get(Register.STATUS))
        if status & Status.ERROR:
            raise EngineError(Error(self.get(Register.ERROR)), self.get(Register.ERROR_INSTRUCTION))
        return RunResult(self.counters(), status)

    def _open(self) -> c_void_p:
        if self._machine is None:
            raise ValueError("the simulator must be open, not closed")
        return self._machine

    def _check(self, result: int) -> int:
        if result == _FAILED:
            raise SimulationError(self._library.cleave_message(self._open()).decode())
        return result

    def _check_answer(self, result: int) -> int:
        if self._check(result) < 0:
            raise SimulationError("the engine does not answer on its register bus")
        return result


def _natural(cycles: int) -> int:
    if cycles < 0:
        raise ValueError(f"cycles must be 0 or more, not {cycles}")
    return cycles


@cache
def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    machine = c_void_p
    signatures = {
        "cleave_create": (
            machine,
            [ctypes.POINTER(c_uint8), c_uint64, c_uint64, c_uint64, c_double, c_uint64, c_double, c_char_p],
        ),
        "cleave_destroy": (None, [machine]),
        "cleave_cycle": (c_uint64, [machine]),
        "cleave_message": (c_char_p, [machine]),
        "cleave_fault": (None, [machine, c_uint64, c_uint8]),
        "cleave_clear_faults": (None, [machine]),
        "cleave_reset": (c_int, [machine, c_int]),
        "cleave_step": (c_int, [machine, c_uint64]),
        "cleave_run": (c_int, [machine, c_uint64]),
        "cleave_write_register": (c_int, [machine, c_uint32, c_uint32]),
        "cleave_read_register": (c_int, [machine, c_uint32, ctypes.POINTER(c_uint32)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
