"""The simulator: results, timing of its DRAM, errors and their recovery, checks of bus and hardware, the cache."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cleave.sim.build as builder
from cleave.compile.trains import Resident, Train, compile_trains
from cleave.config import PRESETS
from cleave.engine.axi import OKAY, SLVERR
from cleave.engine.isa import IDENTITY, Control, Counter, Error, Register, Status
from cleave.errors import EngineError
from cleave.export import Design
from cleave.sim import BASE, BuildError, SimulationError, SimulationTimeoutError, Simulator

CONFIG = PRESETS["tiny"]
BYTES = 2**16
UNMAPPED = 0x7C


@pytest.fixture(scope="module")
def program() -> Resident:
    return compile_trains(CONFIG, [Train(0, 2, rows=16, passes=8)])


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(CONFIG, memory_bytes=BYTES) as simulator:
        yield simulator


def place(simulator: Simulator, program: Resident) -> None:
    simulator.memory[:] = 0
    simulator.memory[: len(program.memory)] = program.memory


def run(simulator: Simulator, program: Resident) -> dict[Counter, int]:
    """Run a program, check its results, and give the counters."""
    place(simulator, program)
    result = simulator.run(program.offset, program.length, max_cycles=200_000)
    assert result.status == Status.DONE
    for computed, expected in zip(program.computed(simulator.memory), program.expected, strict=True):
        np.testing.assert_array_equal(computed, expected)
    assert result.counters[Counter.USEFUL_MACS] == program.useful_macs
    return result.counters


def cycles(program: Resident, **options: float) -> int:
    """Give the cycles of a program on a simulator with such options."""
    with Simulator(CONFIG, memory_bytes=BYTES, **options) as simulator:  # pyright: ignore[reportArgumentType]
        return run(simulator, program)[Counter.CYCLES]


@pytest.mark.parametrize("stalls", [0.1, 0.5, 0.9])
def test_stalls_change_the_time_but_not_the_result(program: Resident, stalls: float, seed: int) -> None:
    assert cycles(program, stalls=stalls, seed=seed) > cycles(program)


def test_a_seed_replays_a_run(program: Resident) -> None:
    runs = [cycles(program, stalls=0.3, seed=seed) for seed in (1, 1, 2, 3)]
    assert runs[0] == runs[1]
    assert len(set(runs)) > 1


def test_latency_is_paid_in_cycles(program: Resident) -> None:
    short, long = cycles(program, latency=50), cycles(program, latency=150)
    # The fetch, the loads that wait for it and the drain's response come one after the other.
    assert (long - short) % 100 == 0
    assert long - short >= 300


@pytest.mark.parametrize("bandwidth", [1, 2.5, 7])
def test_bandwidth_bounds_the_bus(program: Resident, bandwidth: float) -> None:
    with Simulator(CONFIG, memory_bytes=BYTES, bandwidth=bandwidth) as simulator:
        counters = run(simulator, program)
    moved = (counters[Counter.READ_BEATS] + counters[Counter.WRITE_BEATS]) * CONFIG.axi_bytes
    assert moved <= bandwidth * counters[Counter.CYCLES] + 2 * CONFIG.axi_bytes
    # Time that is not spent on the bus: the bandwidth is not only a bound.
    assert counters[Counter.CYCLES] <= moved / bandwidth + cycles(program)


def test_a_program_can_follow_another(simulator: Simulator, program: Resident) -> None:
    assert run(simulator, program) == run(simulator, program)


def test_registers(simulator: Simulator) -> None:
    assert simulator.get(Register.IDENTITY) == IDENTITY
    assert simulator.read_register(UNMAPPED) == (0, SLVERR)
    assert simulator.write_register(Register.IDENTITY, 0) == SLVERR
    assert simulator.write_register(Register.WATCHDOG, 0xDEADBEEF) == OKAY
    assert simulator.get(Register.WATCHDOG) == 0xDEADBEEF
    with pytest.raises(SimulationError, match="refused to write 0x1 to register 0x7c"):
        simulator.set(UNMAPPED, 1)
    with pytest.raises(SimulationError, match="refused to read register 0x7c"):
        simulator.get(UNMAPPED)


def test_an_illegal_instruction(simulator: Simulator, program: Resident) -> None:
    place(simulator, program)
    broken = 3
    simulator.memory[program.offset + 32 * broken] = 0xFF
    with pytest.raises(EngineError, match="instruction 3: ILLEGAL_INSTRUCTION") as caught:
        simulator.run(program.offset, program.length)
    assert (caught.value.code, caught.value.index) == (Error.ILLEGAL_INSTRUCTION, broken)
    assert simulator.get(Register.STATUS) == Status.ERROR
    simulator.soft_reset()
    run(simulator, program)


@pytest.mark.parametrize(("code", "result"), [(Error.AXI_READ, False), (Error.AXI_WRITE, True)])
def test_a_fault_in_memory(simulator: Simulator, program: Resident, code: Error, *, result: bool) -> None:
    place(simulator, program)
    simulator.fault(program.results[0] if result else 0)
    with pytest.raises(EngineError) as caught:
        simulator.run(program.offset, program.length)
    assert caught.value.code == code
    assert caught.value.index == (program.length - 1 if result else 0)
    simulator.soft_reset()
    simulator.clear_faults()
    run(simulator, program)


def test_beyond_memory_the_bus_answers_with_an_error(simulator: Simulator) -> None:
    simulator.set(Register.WINDOW_BASE_LOW, BASE)
    simulator.set(Register.WINDOW_SIZE_LOW, 2 * BYTES)
    simulator.set(Register.PROGRAM_LOW, BYTES)
    simulator.set(Register.PROGRAM_LENGTH, 1)
    simulator.set(Register.INTERRUPT_ENABLE, 3)
    simulator.set(Register.CONTROL, Control.START)
    assert simulator.wait(10_000)
    assert simulator.get(Register.ERROR) == Error.AXI_READ


def test_too_few_cycles(simulator: Simulator, program: Resident) -> None:
    place(simulator, program)
    with pytest.raises(SimulationTimeoutError, match="did not end within 20 cycles"):
        simulator.run(program.offset, program.length, max_cycles=20)
    assert simulator.wait(10_000)


@pytest.mark.parametrize("after", [1, 50, 120, 200, 300])
def test_reset_in_the_middle(simulator: Simulator, program: Resident, after: int) -> None:
    place(simulator, program)
    with pytest.raises(SimulationTimeoutError):
        simulator.run(program.offset, program.length, max_cycles=after)
    simulator.reset()
    assert simulator.get(Register.STATUS) == 0
    run(simulator, program)


def test_a_program_outside_memory(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="the program must lie inside the memory of 65536 bytes"):
        simulator.run(BYTES - 32, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latency": 0}, "latency must be 1 or more, not 0"),
        ({"bandwidth": 0}, "bandwidth must be above 0, not 0.0"),
        ({"stalls": 1.0}, "stalls must be 0 to below 1, not 1.0"),
        ({"seed": -1}, "seed must be 0 or more, not -1"),
        ({"memory_bytes": 12}, "memory_bytes must be whole beats, 1 or more, not 12"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Simulator(CONFIG, **options)  # pyright: ignore[reportArgumentType]


def test_a_waveform(program: Resident, tmp_path: Path) -> None:
    with Simulator(CONFIG, memory_bytes=BYTES, trace=tmp_path / "wave.vcd") as simulator:
        run(simulator, program)
    text = (tmp_path / "wave.vcd").read_text()
    assert "m_axi_arvalid" in text
    assert "held" in text
    changes = [int(time) for time in re.findall(r"^#(\d+)$", text, re.MULTILINE)]
    assert changes == sorted(changes)
    assert len(changes) > 200


SABOTAGE = {
    # A memory that never sees its own collision says so whenever there is none.
    "read and write of word": (r"(assign collision = )(.*);", r"\1!(\2);"),
    "AXI: bursts must be INCR": (r"(\.m_axi_arburst\()\w+\)", r"\1)"),
    "AXI: AR changed before it was accepted": (r"(\.m_axi_araddr\()(\w+)\)", r"\1)"),
}


@pytest.mark.parametrize("message", SABOTAGE)
def test_broken_hardware_is_noticed(
    program: Resident, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: str
) -> None:
    write = builder._verilog

    def sabotaged(design: Design) -> str:
        pattern, broken = SABOTAGE[message]
        text, found = re.subn(pattern, broken, write(design), flags=re.MULTILINE)
        assert found, "the sabotage must change something"
        # Outputs that nothing drives take what the test wants: an address that counts.
        count = "reg [63:0] time_now = 0; always @(posedge clk) time_now <= time_now + 64;"
        drive = {"arburst": "assign m_axi_arburst = 2;", "araddr": f"{count} assign m_axi_araddr = time_now;"}
        extra = next((text for name, text in drive.items() if name in pattern), "")
        return text[: text.rindex("endmodule")] + extra + "\nendmodule\n"

    monkeypatch.setenv("CLEAVE_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "_verilog", sabotaged)
    with pytest.raises(SimulationError, match=message), Simulator(
        CONFIG, memory_bytes=BYTES, stalls=0.5, report=print
    ) as simulator:
        run(simulator, program)


def test_two_processes_build_one_model(tmp_path: Path) -> None:
    program = "from cleave.config import PRESETS; from cleave.sim.build import model_library as m; print(m(PRESETS['tiny']))"
    environment = {**os.environ, "CLEAVE_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    (path,) = paths
    assert sorted(entry.suffix for entry in tmp_path.iterdir()) == [".lock", ".so"]
    assert Path(path).parent == tmp_path


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLEAVE_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    builder._compiler.cache_clear()
    builder._compiler_version.cache_clear()
    try:
        with pytest.raises(BuildError, match=r"a C\+\+ compiler is needed \(no-such-compiler\)"):
            Simulator(CONFIG)
    finally:
        builder._compiler.cache_clear()
        builder._compiler_version.cache_clear()


def test_a_tool_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLEAVE_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "_verilog", lambda design: f"module {design.name}(input a, output a); endmodul")
    with pytest.raises(BuildError, match=r"verilator_bin failed: .*syntax error"):
        Simulator(CONFIG)
    assert not list(tmp_path.glob("*.so"))
    assert not list(tmp_path.glob("build-*"))
