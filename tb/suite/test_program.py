"""What is read from programs: the array alone against the RTL, traffic against a count of each instruction."""

import numpy as np
import pytest

from cleave.compile.gemm import compile_gemm
from cleave.compile.program import Program
from cleave.compile.tiling import Problem
from cleave.config import PRESETS, EngineConfig
from cleave.engine.isa import INSTRUCTION_BYTES, Counter, Destination, Instruction, Opcode, decode
from cleave.model.timing import predict
from cleave.sim import Simulator
from cleave.suite.program import Traffic, cut, matmuls_alone, traffic

TINY = PRESETS["tiny"]


def decoded(program: bytes) -> list[Instruction]:
    return [decode(program[at : at + INSTRUCTION_BYTES]) for at in range(0, len(program), INSTRUCTION_BYTES)]


def test_matmuls_alone() -> None:
    program = compile_gemm(Problem(40, 50, 9), TINY).program
    alone = decoded(matmuls_alone(program))
    kept = [instruction for instruction in decoded(program) if instruction.opcode == Opcode.MATMUL]
    assert [i.values | {"wait": 0, "signal": 0} for i in kept] == [i.values for i in alone]
    assert any(i.wait or i.signal for i in kept)


@pytest.mark.parametrize("shape", [(40, 50, 9), (1, 64, 40), (7, 4, 33)])
def test_array_alone_equals_the_rtl(shape: tuple[int, int, int]) -> None:
    program = matmuls_alone(compile_gemm(Problem(*shape), TINY).program)
    with Simulator(TINY, memory_bytes=2**20, latency=1) as simulator:
        simulator.memory[: len(program)] = np.frombuffer(program, np.uint8)
        counters = simulator.run(0, len(program) // INSTRUCTION_BYTES).counters
    assert predict(program, TINY, latency=1).counters[Counter.ARRAY_CYCLES] == counters[Counter.ARRAY_CYCLES]


def counted(program: bytes, config: EngineConfig) -> Traffic:
    """Count a program's traffic pass by pass."""
    array, acc = config.array, config.accumulator_bits / 8
    read = written = hops = 0.0
    for i in decoded(program):
        if i.opcode == Opcode.MATMUL:
            for number in range(i.passes):
                read += i.count * array.rows * array.columns
                for _ in range(i.rows):
                    read += i.count * array.rows
                    read += (i.accumulate_rest if number else i.accumulate_first) * array.columns * acc
                    written += array.columns * acc
                    hops += i.count * array.columns * (array.rows + array.rows / array.dot * array.sum_bits / 8)
        elif i.opcode == Opcode.LOAD and i.destination in (Destination.MOVING, Destination.STATIONARY):
            written += i.rows * i.row_bytes * i.slabs.bit_count()
        elif i.opcode == Opcode.DRAIN:
            read += i.rows * i.columns * acc
    return Traffic(round(read), round(written), round(hops))


@pytest.mark.parametrize("name", ["tiny", "odd"])
@pytest.mark.parametrize("shape", [(40, 50, 9), (3, 8, 60)])
def test_traffic(name: str, shape: tuple[int, int, int]) -> None:
    program = compile_gemm(Problem(*shape), PRESETS[name]).program
    assert traffic(program, PRESETS[name]) == counted(program, PRESETS[name])


def test_a_load_to_several_slabs_is_written_to_each() -> None:
    program = Program()
    for slabs in (0b01, 0b10, 0b11):
        program.load(Destination.MOVING, slabs=slabs, address=0, rows=3, row_bytes=4, memory=0, stride=4)
    program.load(Destination.PARAMETERS, slabs=0, address=0, rows=1, row_bytes=8, memory=0, stride=8)
    assert traffic(program.encode(), TINY) == Traffic(0, (1 + 1 + 2) * 3 * 4, 0)


@pytest.mark.parametrize("partition", [1, 2])
def test_cut(partition: int) -> None:
    program = compile_gemm(Problem(12, 64, 16), TINY, partition=partition).program
    found, matmuls = cut(program), [i for i in decoded(program) if i.opcode == Opcode.MATMUL]
    assert (found.partition, found.side_by_side) == (partition, 2 // partition)
    assert found.rows == max(i.rows for i in matmuls) and found.passes == max(i.passes for i in matmuls)
    assert found.instructions == len(program) // INSTRUCTION_BYTES
