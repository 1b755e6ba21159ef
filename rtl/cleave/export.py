"""Verilog of a component, with every shared component emitted once, and the files that a synthesis flow needs.

`share` (see `cleave.hdl`) makes a parent instantiate a module by name instead of holding a copy of it. The module itself
is elaborated once, from the first component of that name, converted to RTLIL beside its parent, and all RTLIL goes through
Yosys together. Module names start with the design's name, and are plain identifiers: shared ones `NAME_shared`, Amaranth's
own below a module `MODULE__submodule`.
"""

# The stubs do not know what an export needs of Amaranth's internals.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Fragment, Instance, ResetSignal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from .config import EngineConfig
from .hdl import Shareable
from .memory.ram import Ram1r1w

TOP = "cleave"
"""Module of the exported engine."""

BUSES = {"read": "m_axi", "write": "m_axi", "control": "s_axil"}
"""Prefixes of the engine's buses, whose ports have the standard names: `read.ar.valid` is `m_axi_arvalid`."""

MODELS = {"MULT18X18D": Path(__file__).parent / "fpga" / "mult18x18d.v"}
"""Verilog, for simulation only, of the FPGA primitives that a design may contain."""

_MODULE = re.compile(r"^module \\(\S+)$", re.MULTILINE)
_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)$", re.MULTILINE)
_MEMORY = re.compile(r"^  memory width (\d+) size (\d+) \\(\S+)$", re.MULTILINE)
_CONSTANT = re.compile(r"^  always @\*\n    (\S.* = \d+'h[0-9a-f]+ *;)$", re.MULTILINE)
_ZERO_CONTENTS = re.compile(r"^  cell \$meminit_v2 (?:(?!^  end$).)*?connect \\DATA \d+'0+$.*?^  end$\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Design:
    """A converted component.

    Attributes
    ----------
    name
        Its top module.
    rtlil
        All modules, as Yosys reads them.
    ports
        Width and direction of its ports, by name; `clk` and `rst` are among them.
    memories
        One entry per memory: `module`, `instances` in the whole design, `depth`, `width`, `parts` that are written
        alone, and `ports`.
    """

    name: str
    rtlil: str
    ports: dict[str, tuple[int, PortDirection]]
    memories: list[dict[str, str | int]]

    @property
    def models(self) -> list[Path]:
        """Verilog of the FPGA primitives in the design, which a simulator needs besides `verilog`."""
        used = {kind for kind, _ in _CELL.findall(self.rtlil)}
        return [path for primitive, path in MODELS.items() if primitive in used]

    def verilog(self, *, assertions: bool = False) -> str:
        """Write Verilog 2005; with `assertions`, also the design's `Assert` statements, for simulators."""
        keep = [] if assertions else ["delete t:$check t:$print"]
        hidden = " ".join(f"-remove {name}" for name in ("generator", "top", "amaranth.hierarchy", "amaranth.decoding"))
        script = [
            f"read_rtlil <<rtlil\n{self.rtlil}\nrtlil",
            *keep,
            "proc -nomux -norom",
            "memory_collect",
            f"attrmap {hidden}",
            f"attrmap -modattr {hidden}",
            "write_verilog",
        ]
        # Yosys always warns that some processes may not be written as they were meant; Amaranth emits none of those.
        text = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], "\n".join(script), ignore_warnings=True)
        # What waits for a change of nothing never runs in a simulator: bits that are constant beside others that are not.
        return _CONSTANT.sub(r"  initial \1\n\g<0>", text)


def convert(component: wiring.Component, name: str, *, shared: bool = True) -> Design:
    """Convert a component; ports are `clk`, `rst` and its members, joined by `__`.

    With `shared` false every use of a component becomes a module of its own: slow and large, the reference that the
    sharing is proven against.

    Raises
    ------
    ValueError
        If two different components have the same `shared_name`.
    """
    library = _Library(name) if shared else None
    texts = [_convert(component, name, library)]
    if library is not None:
        # Elaborating a shared component may share further ones: the dictionary grows under way.
        done = 0
        while done < len(library.components):
            shared_name, shared_component = list(library.components.items())[done]
            texts.append(_convert(shared_component, shared_name, library).replace("attribute \\top 1\n", ""))
            done += 1
    text = _ZERO_CONTENTS.sub("", "".join(texts))
    clocked = {"clk": (1, PortDirection.Input), "rst": (1, PortDirection.Input)}
    return Design(name, text, clocked | _shape(component), _memories(name, text, library))


def engine_design(config: EngineConfig) -> Design:
    """Convert the whole engine, as the module `TOP`."""
    from .engine.top import Engine  # noqa: PLC0415 - hardware is needed here only, and is slow to import

    return convert(Engine(config), TOP)


def write_verilog(config: EngineConfig, directory: Path | str, *, clock_mhz: float = 200.0) -> list[Path]:
    """Export the engine into `directory`, which is created; give the files written.

    They are `cleave.v` (without assertions), `cleave.memories.json` (see `Design.memories`), `cleave.sdc` (the clock at
    `clock_mhz`, a fifth of it for each side's inputs and outputs), `Design.models` and `cleave.flow.json`, which names the others.
    """
    design = engine_design(config)
    period = 1000 / clock_mhz
    files = {
        f"{TOP}.v": design.verilog(),
        f"{TOP}.memories.json": json.dumps(design.memories, indent=2) + "\n",
        f"{TOP}.sdc": _constraints(period),
        **{path.name: path.read_text() for path in design.models},
    }
    flow = {
        "top": TOP,
        "config": config.name,
        "clock": "clk",
        "clock_period_ns": period,
        "reset": "rst",
        "reset_kind": "synchronous, active high",
        "sources": [f"{TOP}.v"],
        "constraints": [f"{TOP}.sdc"],
        "memories": f"{TOP}.memories.json",
        "simulation_models": [path.name for path in design.models],
    }
    files[f"{TOP}.flow.json"] = json.dumps(flow, indent=2) + "\n"
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / name for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.write_text(text)
    return paths


class _Library:
    """The platform of an export: one component per shared name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.components: dict[str, Any] = {}

    def share(self, component: Shareable) -> "_SharedInstance":
        name = f"{self.name}_{component.shared_name}"
        first = self.components.setdefault(name, component)
        if type(first) is not type(component) or _shape(first) != _shape(component):
            raise ValueError(f"shared_name must name one kind of component, not {component.shared_name!r} for two")
        component._MustUse__used = True  # noqa: SLF001  Amaranth warns of what it does not elaborate
        return _SharedInstance(name, component)


class _SharedInstance(Elaboratable):
    """Instance of a shared module, with the attributes, and so the ports, of the component in whose place it stands."""

    def __init__(self, name: str, component: Shareable) -> None:
        self._name, self._component = name, component

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._component, name)

    def elaborate(self, platform: object) -> Elaboratable:  # noqa: ARG002
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        for port, (value, direction) in _ports(self._component).items():
            ports[("i_" if direction is PortDirection.Input else "o_") + port] = value
        return Instance(self._name, **ports)


def _ports(component: Shareable) -> dict[str, tuple[Value, PortDirection]]:
    """Name the ports of a component; the constants in its interfaces (`always_ready`) are none."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        if isinstance(value, Const):
            continue
        direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
        ports[_port_name(path)] = (Value.cast(value), direction)
    return ports


def _shape(component: Shareable) -> dict[str, tuple[int, PortDirection]]:
    """Give the ports' widths and directions."""
    return {name: (len(value), direction) for name, (value, direction) in _ports(component).items()}


def _port_name(path: tuple[str | int, ...]) -> str:
    """Join a member's path; the engine's buses have the names that every AXI tool knows."""
    if len(path) == 3 and path[0] in BUSES:
        bus, channel, signal = path
        return f"{BUSES[bus]}_{channel}{signal}"
    return "__".join(map(str, path))


def _convert(component: Any, name: str, library: _Library | None) -> str:  # noqa: ANN401
    """Convert one component to RTLIL, with plain module names."""
    domain = ClockDomain("sync")
    ports = {"clk": (domain.clk, PortDirection.Input), "rst": (domain.rst, PortDirection.Input), **_ports(component)}
    fragment = Fragment.get(component, library)
    fragment.add_domains(domain)
    text, _ = rtlil.convert_fragment(fragment, ports, name, emit_src=False)
    own = set(_MODULE.findall(text))
    if name not in own:
        raise ValueError(f"a shared component must contain hardware, not {name} without any")
    text = _MODULE.sub(lambda match: f"module \\{match[1].replace('.', '__')}", text)
    return _CELL.sub(
        lambda match: f"  cell \\{match[1].replace('.', '__') if match[1] in own else match[1]} \\{match[2]}", text
    )


def _memories(top: str, text: str, library: _Library | None) -> list[dict[str, str | int]]:
    """List the memories of a design, each with the number of its copies in the whole."""
    bodies = {body.split(None, 1)[0]: body for body in re.split(r"^module \\", text, flags=re.MULTILINE)[1:]}
    if len(bodies) != len(_MODULE.findall(text)):
        raise ValueError(f"{top}: two modules have the same name")
    parents: dict[str, Counter[str]] = {name: Counter() for name in bodies}
    for parent, body in bodies.items():
        for child, _ in _CELL.findall(body):
            if child in parents:
                parents[child][parent] += 1

    @cache
    def instances(module: str) -> int:
        return 1 if module == top else sum(count * instances(parent) for parent, count in parents[module].items())

    memories = []
    components = library.components if library is not None else {}
    for module, body in bodies.items():
        for width, depth, _ in _MEMORY.findall(body):
            ram = components.get(module)
            memories.append({
                "module": module,
                "instances": instances(module),
                "depth": int(depth),
                "width": int(width),
                "parts": ram.parts if isinstance(ram, Ram1r1w) else 1,
                "ports": f"{body.count('cell $memrd_v2 ')}R{body.count('cell $memwr_v2 ')}W",
            })
    return memories


def _constraints(period: float) -> str:
    share = period / 5
    return (
        f"create_clock -name clk -period {period:.3f} [get_ports clk]\n"
        f"set_input_delay {share:.3f} -clock clk [remove_from_collection [all_inputs] [get_ports clk]]\n"
        f"set_output_delay {share:.3f} -clock clk [all_outputs]\n"
    )
