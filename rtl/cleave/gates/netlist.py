"""The netlist that a component really becomes, bit by bit: to count, to time and to evaluate."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amaranth._toolchain.yosys import find_yosys
from amaranth.lib import wiring

from ..export import convert

__all__ = ["Cell", "Net", "Netlist", "netlist", "netlists"]

Net = int | str
"""A net's number, or the constant "0" or "1"."""

REGISTER = "$_DFF_P_"
GATES: dict[str, tuple[tuple[str, ...], str, Callable[..., int]]] = {
    "$_NOT_": (("A",), "Y", lambda ones, a: a ^ ones),
    "$_AND_": (("A", "B"), "Y", lambda _, a, b: a & b),
    "$_OR_": (("A", "B"), "Y", lambda _, a, b: a | b),
    "$_XOR_": (("A", "B"), "Y", lambda _, a, b: a ^ b),
    "$_MUX_": (("A", "B", "S"), "Y", lambda ones, a, b, s: (a & (s ^ ones)) | (b & s)),
    REGISTER: (("D",), "Q", lambda _, d: d),
}
"""Input pins of each gate, its output pin, and its function of all ones and the inputs."""

KEPT = ("fa", "ha", "hap")
"""Adders, which stay cells of their own unless the netlist is flat."""


@dataclass(frozen=True)
class Cell:
    """One gate, register or kept module: its kind, and its nets by port name."""

    kind: str
    inputs: dict[str, tuple[Net, ...]]
    outputs: dict[str, tuple[Net, ...]]


@dataclass(frozen=True)
class Netlist:
    """What a component becomes when Yosys has flattened it to gates of one and two inputs, without any optimisation.

    Attributes
    ----------
    inputs, outputs
        Nets of each port, least significant first.
    cells
        In an order in which every cell comes after those that it reads; registers come after their data, too.
    """

    inputs: dict[str, tuple[Net, ...]]
    outputs: dict[str, tuple[Net, ...]]
    cells: list[Cell]

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

    def solve(self, ones: int, **inputs: list[int]) -> dict[Net, int]:
        """Give the value of every net in many cases at once: bit k of each integer belongs to case k.

        Registers pass their data on: what comes out is what a pipeline gives when its inputs stand still. Nets behind kept
        modules have no value.

        Parameters
        ----------
        ones
            An integer with a one for each case.
        inputs
            One integer per bit of each port.
        """
        values: dict[Net, int] = {"0": 0, "1": ones}
        for name, nets in self.inputs.items():
            values.update(zip(nets, inputs[name], strict=True))
        for cell in self.cells:
            pins, output, function = GATES.get(cell.kind, ((), "", None))
            if function is not None and all(cell.inputs[pin][0] in values for pin in pins):
                values[cell.outputs[output][0]] = function(ones, *(values[cell.inputs[pin][0]] for pin in pins))
        return values

    def evaluate(self, ones: int, **inputs: list[int]) -> dict[str, list[int]]:
        """Give the outputs' bits in many cases at once, see `solve`; only a netlist with nothing kept can do it."""
        values = self.solve(ones, **inputs)
        return {name: [values[net] for net in nets] for name, nets in self.outputs.items()}


def netlist(component: wiring.Component, *, keep: tuple[str, ...] = KEPT) -> Netlist:
    """Give the netlist of one component, see `netlists`."""
    return netlists([component], keep=keep)[0]


def netlists(components: Sequence[wiring.Component], *, keep: tuple[str, ...] = KEPT) -> list[Netlist]:
    """Give the netlists of components, whose only clock is `sync`, from one run of Yosys.

    Parameters
    ----------
    keep
        Shared names, or beginnings of them, whose modules stay cells. Kinds are then the shared names.

    Raises
    ------
    ValueError
        If there is a loop, or a cell that is no gate, such as an adder or a register with a reset.
    """
    texts = []
    for number, component in enumerate(components):
        name = f"netlist{number}"
        text = convert(component, name).rtlil.replace("attribute \\top 1\n", "")
        for kept in keep:
            text = text.replace(f"module \\{name}_{kept}", f"attribute \\keep_hierarchy 1\nmodule \\{name}_{kept}")
        texts.append(text)
    passes = ["hierarchy", "proc", "flatten -noscopeinfo", "simplemap", "opt_clean", "write_json"]
    script = "\n".join([f"read_rtlil <<rtlil\n{''.join(texts)}\nrtlil", *passes])
    # Yosys warns of processes in general; what matters here is what comes out.
    answer = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
    modules = json.loads(answer)["modules"]
    return [_netlist(f"netlist{number}", modules) for number in range(len(components))]


def _netlist(name: str, modules: dict[str, Any]) -> Netlist:
    ports: dict[str, dict[str, tuple[Net, ...]]] = {"input": {}, "output": {}}
    for port, pins in modules[name]["ports"].items():
        if port not in ("clk", "rst"):
            ports[pins["direction"]][port] = tuple(pins["bits"])
    cells = [_cell(cell, f"{name}_", modules) for cell in modules[name]["cells"].values()]
    return Netlist(ports["input"], ports["output"], _sorted(cells))


def _kind(name: str) -> str:
    gate = f"$_{name.upper()}_"
    return REGISTER if name == "register" else gate if gate in GATES else name


def _cell(cell: dict[str, Any], prefix: str, modules: dict[str, Any]) -> Cell:
    kind = cell["type"]
    if kind in modules:
        directions = {name: port["direction"] for name, port in modules[kind]["ports"].items()}
    elif kind in GATES:
        directions = cell["port_directions"]
    else:
        raise ValueError(f"a cell must be a gate, a register without reset or a kept module, not {kind}")
    nets = {name: tuple(bits) for name, bits in cell["connections"].items() if name not in ("C", "clk", "rst")}
    return Cell(
        kind.removeprefix(prefix),
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
