import numpy as np

from cleave.config import PRESETS
from cleave.model.machine import Machine
from scripts import isa_doc


def test_the_page_is_what_the_code_says() -> None:
    assert isa_doc.PAGE.read_text() == isa_doc.page(), "run make docs"


def test_the_worked_example_multiplies(rng: np.random.Generator) -> None:
    m, k, n = isa_doc.M, isa_doc.K, isa_doc.N
    a, w = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    program = isa_doc.example_program()
    memory = np.zeros(isa_doc.PROGRAM + len(program), np.uint8)
    for start, data in [(isa_doc.MOVING, a.tobytes()), (isa_doc.STATIONARY, w.tobytes()), (isa_doc.PROGRAM, program)]:
        memory[start : start + len(data)] = np.frombuffer(data, np.uint8)

    machine = Machine(PRESETS["tiny"], memory)
    machine.run(isa_doc.PROGRAM, len(isa_doc.EXAMPLE))

    product = memory[isa_doc.RESULT :][: 4 * m * n].view("<i4").reshape(m, n)
    np.testing.assert_array_equal(product, a.astype(np.int32) @ w.astype(np.int32))
    assert machine.useful_macs == m * k * n
