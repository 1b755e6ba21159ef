"""The netlist that a component really becomes, bit by bit: to count, to time and to evaluate."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from amaranth._toolchain.yosys import find_yosys
from amaranth.lib import wiring

from ..export import convert

__all__ = ["Cell", "Netlist", "Net"]

Net = int | str
"""A net's number, or the constant "0" or "1"."""

GATES: dict[str, tuple[tuple[str, ...], Callable[..., int]]] = {
    "$_NOT_": (("A",), lambda ones, a: a ^ ones),
    "$_AND_": (("A", "B"), lambda _, a, b: a & b),
    "$_OR_": (("A", "B"), lambda _, a, b: a | b),
    "$_XOR_": (("A", "B"), lambda _, a, b: a ^ b),
    "$_MUX_": (("A", "B", "S"), lambda ones, a, b, s: (a & (s ^ ones)) | (b & s)),
}
"""Inputs of each gate, in order, and its function of all ones and the inputs; the output is `Y`."""

REGISTER = "$_DFF_P_"
KEPT = ("fa", "ha", "hap")
"""Adders, which stay cells of their own unless the netlist is flat."""

_TOP = "netlist"


@dataclass(frozen=True)
class Cell:
    """One gate, register or kept module: its kind, and its nets by port name."""

    kind: str
    inputs: dict[str, tuple[Net, ...]]
    outputs: dict[str, tuple[Net, ...]]


class Netlist:
    """What a component becomes when Yosys has flattened it to gates of one and two inputs, without any optimisation.

    Parameters
    ----------
    component
        Anything that can be exported; its only clock is `sync`.
    keep
        Shared names, or beginnings of them, whose modules stay cells. Kinds are then the shared names.

    Attributes
    ----------
    inputs, outputs
        Nets of each port, least significant first.
    cells
        In an order in which every cell comes after those that it reads; registers come after their data, too.

    Raises
    ------
    ValueError
        If there is a loop.
    """

    def __init__(self, component: wiring.Component, *, keep: tuple[str, ...] = KEPT) -> None:
        text = convert(component, _TOP).rtlil
        for name in keep:
            text = text.replace(f"module \\{_TOP}_{name}", f"attribute \\keep_hierarchy 1\nmodule \\{_TOP}_{name}")
        script = f"read_rtlil <<rtlil\n{text}\nrtlil\nhierarchy -top {_TOP}\nproc\nflatten -noscopeinfo\nsimplemap\nopt_clean\nwrite_json"
        # Yosys warns of processes in general; what matters here is what comes out.
        answer = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
        modules = json.loads(answer)["modules"]
        ports = {name: port for name, port in modules[_TOP]["ports"].items() if name not in ("clk", "rst")}
        self.inputs = {name: tuple(port["bits"]) for name, port in ports.items() if port["direction"] == "input"}
        self.outputs = {name: tuple(port["bits"]) for name, port in ports.items() if port["direction"] == "output"}
        self.cells = _sorted([_cell(cell, modules) for cell in modules[_TOP]["cells"].values()])

    @cached_property
    def drivers(self) -> dict[Net, Cell]:
        """The cell that drives each net."""
        return {net: cell for cell in self.cells for nets in cell.outputs.values() for net in nets}

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of cells of each kind."""
        return Counter(cell.kind for cell in self.cells)

    def count(self, *kinds: str) -> int:
        """Give the number of cells of some kinds together; gates by their plain names, as `and` for `$_AND_`."""
        return sum(self.counts[_kind(kind)] for kind in kinds)

    def depth(self, delays: Mapping[str, int] | None = None, output: str | None = None) -> int:
        """Give the longest path to any output, or to one.

        Parameters
        ----------
        delays
            Delay of each kind that has one; without it every cell but a register takes 1.
        """
        known = {_kind(kind): delay for kind, delay in delays.items()} if delays is not None else None
        at: dict[Net, int] = {}
        for cell in self.cells:
            delay = int(cell.kind != REGISTER) if known is None else known.get(cell.kind, 0)
            latest = max((at.get(net, 0) for nets in cell.inputs.values() for net in nets), default=0)
            at |= {net: latest + delay for nets in cell.outputs.values() for net in nets}
        ends = self.outputs if output is None else {output: self.outputs[output]}
        return max(at.get(net, 0) for nets in ends.values() for net in nets)

    def evaluate(self, ones: int, **inputs: list[int]) -> dict[str, list[int]]:
        """Evaluate many cases at once: bit k of each integer belongs to case k, and `ones` has a one for each case.

        Inputs and outputs are one integer per bit of the port. Registers pass their data on: what comes out is what a
        pipeline gives when its inputs stand still.

        Raises
        ------
        KeyError
            If a module was kept: only flat netlists can be evaluated.
        """
        values: dict[Net, int] = {"0": 0, "1": ones}
        for name, nets in self.inputs.items():
            values.update(zip(nets, inputs[name], strict=True))
        for cell in self.cells:
            if cell.kind == REGISTER:
                values[cell.outputs["Q"][0]] = values[cell.inputs["D"][0]]
            else:
                names, function = GATES[cell.kind]
                values[cell.outputs["Y"][0]] = function(ones, *(values[cell.inputs[name][0]] for name in names))
        return {name: [values[net] for net in nets] for name, nets in self.outputs.items()}


def _kind(name: str) -> str:
    gate = f"$_{name.upper()}_"
    return REGISTER if name == "register" else gate if gate in GATES else name


def _cell(cell: dict, modules: dict) -> Cell:
    kind = cell["type"]
    directions = cell.get("port_directions") or {name: port["direction"] for name, port in modules[kind]["ports"].items()}
    nets = {name: tuple(bits) for name, bits in cell["connections"].items() if name not in ("C", "clk", "rst")}
    return Cell(
        kind.removeprefix(f"{_TOP}_"),
        {name: bits for name, bits in nets.items() if directions[name] == "input"},
        {name: bits for name, bits in nets.items() if directions[name] == "output"},
    )


def _sorted(cells: list[Cell]) -> list[Cell]:
    readers: dict[Net, list[int]] = {}
    driven = {net for cell in cells for nets in cell.outputs.values() for net in nets}
    waiting = []
    for number, cell in enumerate(cells):
        sources = {net for nets in cell.inputs.values() for net in nets} & driven
        waiting.append(len(sources))
        for net in sources:
            readers.setdefault(net, []).append(number)
    order = [number for number, count in enumerate(waiting) if not count]
    for number in order:  # grows under way
        for net in {net for nets in cells[number].outputs.values() for net in nets}:
            for reader in readers.get(net, []):
                waiting[reader] -= 1
                if not waiting[reader]:
                    order.append(reader)
    if len(order) != len(cells):
        raise ValueError("a netlist that is timed or evaluated must have no loop")
    return [cells[number] for number in order]
