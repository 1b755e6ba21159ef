"""Area and delay of components, by one recipe for everything that is compared."""

import json
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from ..export import Design, convert
from .hard_cells import DONT_USE, hard_cells
from .liberty import Library
from .timing import delay_ns
from .tools import SynthesisError, run_yosys

__all__ = [
    "Recipe", "PLAIN", "BOOTH", "TREES", "RECIPE", "MODULE", "Module", "Measured", "area_of", "convert_one", "synthesise", "TOP",
]  # fmt: skip

RECIPE = (
    "synth -flatten -noabc (the gates fa, ha and aoi222 of the generators become the library's cells, where it has them and no "
    "input is constant); clockgate -min_net_size 3; dfflibmap; abc without a delay target; opt_clean"
)
"""What all candidates go through, in words; the commands are those of `synthesise`."""

TOP = "top"
"""Design name of everything that is measured."""

MODULE = re.compile(r"^module \\(\S+)$", re.MULTILINE)
"""A module's name in RTLIL."""

_converting = threading.Lock()


@dataclass(frozen=True)
class Recipe:
    """What may differ from one candidate to the next.

    Attributes
    ----------
    synth
        Options of yosys' `synth`, such as `-booth`.
    hard
        Use the library's cells for the generators' adders; else abc makes them.
    """

    synth: str = ""
    hard: bool = True


PLAIN, BOOTH, TREES = Recipe(), Recipe("-booth"), Recipe("-arith_tree")
"""yosys' own `*` and `+`: as they are, with Booth's recoding, and with trees of carry-save adders."""


@dataclass(frozen=True)
class Module:
    """A synthesised module: its own cells, without those of its submodules.

    Attributes
    ----------
    cells
        Number of cells of each kind, and of instances of each submodule.
    registers
        Number of registers by kind of cell and name of the net that they drive.
    """

    cells: Mapping[str, int]
    registers: Mapping[tuple[str, str], int]

    def area_um2(self, library: Library) -> float:
        """Add up the areas of the library's cells."""
        return sum(count * library.areas_um2.get(cell, 0.0) for cell, count in self.cells.items())


@dataclass(frozen=True)
class Measured:
    """A component on a library.

    Attributes
    ----------
    area_um2
        Sum of its cells' areas.
    delay_ns
        Longest path from a register to a register, with clock-to-output and setup; of a combinational component, from inputs
        to outputs. Before layout: gates and their loads, no wires. None without OpenSTA, or without such a path.
    cells
        Number of cells of each kind.
    """

    area_um2: float
    delay_ns: float | None
    cells: Mapping[str, int] = field(repr=False)


def area_of(component: wiring.Component, library: Library, recipe: Recipe = PLAIN) -> Measured:
    """Synthesise one component, flat, and measure it.

    Raises
    ------
    SynthesisError
        If a program fails; with a sound component, because the library lacks what it needs.
    """
    with tempfile.TemporaryDirectory(prefix="cleave_report_") as folder:
        modules = synthesise(convert_one(component), library, Path(folder), recipe)
        module = modules[TOP]
        delay = delay_ns(Path(folder), library, TOP, combinational=not module.registers)
    return Measured(module.area_um2(library), delay, module.cells)


def convert_one(component: wiring.Component) -> Design:
    """Convert a component as the design `TOP`, one at a time."""
    with _converting:
        return convert(component, TOP)


def synthesise(
    design: Design,
    library: Library,
    folder: Path,
    recipe: Recipe = PLAIN,
    *,
    kept: Sequence[str] = (),
    black_boxes: Sequence[str] = (),
) -> dict[str, Module]:
    """Map a design to the library, and write `netlist.v` into the folder.

    Parameters
    ----------
    design
        The design.
    kept
        Modules that stay modules; the others are dissolved in those above. Constants and unused ports pass through.
    black_boxes
        Modules that are left out.

    Raises
    ------
    SynthesisError
        If yosys fails, or leaves something unmapped.
    """
    files = [f"library_{number}.lib" for number in range(len(library.files))]
    for name, file in zip(files, library.files, strict=True):
        (folder / name).write_bytes(file.read_bytes())
    modules = set(MODULE.findall(design.rtlil))
    hard = [cell for cell in hard_cells(library) if recipe.hard and f"{design.name}_{cell.gate}" in modules]
    (folder / "design.il").write_text(design.rtlil)
    (folder / "hard.v").write_text("".join(cell.techmap(design.name) for cell in hard))
    hidden = [*black_boxes, *(f"{design.name}_{cell.gate}" for cell in hard)]
    liberty = " ".join(f"-liberty {name}" for name in files)
    avoid = " ".join(f"-dont_use {pattern}" for pattern in DONT_USE)
    synth = f"synth -flatten -noabc {'-hieropt' if kept else ''} {recipe.synth} -top {design.name}"
    script = [
        "read_rtlil design.il",
        *(f"read_liberty -lib {name}" for name in files),
        "delete t:$check t:$print",
        *(f"blackbox {module}" for module in hidden),
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in kept),
        f"{synth} -run begin:fine",
        *(["techmap -map hard.v"] if hard else []),
        f"{synth} -run fine:check",
        f"clockgate {liberty} -min_net_size 3",
        f"dfflibmap {avoid} {liberty}",
        f"abc {avoid} {liberty}",
        "opt_clean",
        "write_json netlist.json",
        "opt_clean -purge",
        "write_verilog -noattr -simple-lhs netlist.v",
        "",
    ]
    run_yosys("\n".join(script), folder)
    found = json.loads((folder / "netlist.json").read_text())["modules"]
    return {name: _module(found[name], library) for name in found if name in modules and name not in hidden}


def _module(module: dict[str, Any], library: Library) -> Module:
    names = {}
    for name, net in module["netnames"].items():
        for bit in net["bits"]:
            if not net["hide_name"] or bit not in names:
                names[bit] = name
    cells: dict[str, int] = {}
    registers: dict[tuple[str, str], int] = {}
    for cell in module["cells"].values():
        kind = cell["type"]
        if kind == "$scopeinfo":
            continue
        if kind.startswith("$"):
            raise SynthesisError(f"the library must have a cell for yosys' {kind}")
        cells[kind] = cells.get(kind, 0) + 1
        if kind in library.registers:
            outputs = [bits[0] for pin, bits in cell["connections"].items() if cell["port_directions"][pin] == "output"]
            key = kind, next((names[bit] for bit in outputs if bit in names), "")
            registers[key] = registers.get(key, 0) + 1
    return Module(cells, registers)
