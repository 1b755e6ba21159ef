"""Area of a whole engine, module by module: the array with everything that splitting touches, and the rest beside it.

Every module is synthesised once and counted as often as it stands in the design; constants and unused ports pass through the
hierarchy first, so that a one-slab array pays for nothing that it does not use. Columns are synthesised alone, flat.
"""

import re
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

from ..array.column import Column
from ..config import ArrayConfig, EngineConfig
from ..engine.top import Engine
from ..export import Design
from .liberty import Library
from .synthesis import BOOTH, MODULE, PLAIN, TOP, Recipe, area_of, convert_one, synthesise

__all__ = ["PARTS", "COMMON", "ModuleArea", "ArrayArea", "measure", "measure_column", "measure_array", "measure_common"]

PARTS = {
    "cells": "column",
    "seams": "seam|join",
    "skew": "",
    "sequencers": r"_(sequencer|queue)_\d+.*",
    "ports": "_bank_writer|_drain__reader",
    "control": "top|slab|array|_dispatcher|_dependencies|_supervisor|_counters",
}
"""Parts of the array and their modules, by name below the top. `skew` are the registers that skew a slab's operands. Sequencers
have the slabs' queues with them; ports are the writes into the operand banks and the reads of the accumulators; control is what
else a slab has, tokens first, and what starts, counts and stops."""

SKEW = re.compile(r"(moving|stationary)_\d+_\d+")
"""A slab's registers of the part `skew`."""

DRAIN = r"_drain.*|(requantiser_lane|rounding_lane|rounder|normaliser|packer).*"
COMMON = {"bus": "_axi_read.*|_registers|_fetch.*", "load": "_load.*|element_decoder", "drain": DRAIN}
"""What an engine has besides the array: the units that do the same work however the array is cut. DRAIN has the queues of its
reads, too."""

PARENTS = ("top", "_drain", "_drain__reader")
"""Modules above those of both kinds."""

MEMORY = "ram_1r1w_.*"
"""Memories, whose bits count and whose area does not."""


@dataclass(frozen=True)
class ModuleArea:
    """A module: the part it belongs to, its instances, and the area of one, without its submodules."""

    module: str
    part: str
    instances: int
    um2: float


@dataclass(frozen=True)
class ArrayArea:
    """The area of an array, or of what an engine has besides it.

    Attributes
    ----------
    modules
        What it is made of.
    memory_bits
        Bits of its memories.
    """

    modules: list[ModuleArea]
    memory_bits: int

    @property
    def parts_um2(self) -> dict[str, float]:
        """Area of each part."""
        parts = dict.fromkeys([part for part in PARTS | COMMON if any(module.part == part for module in self.modules)], 0.0)
        for module in self.modules:
            parts[module.part] += module.instances * module.um2
        return parts

    @property
    def logic_um2(self) -> float:
        """Area of all parts."""
        return sum(self.parts_um2.values())


    def with_column(self, um2: float) -> "ArrayArea":
        """Give the same array with columns of cells of this area."""
        modules = [replace(module, um2=um2) if module.module == "column" else module for module in self.modules]
        return replace(self, modules=modules)


def measure(config: EngineConfig, library: Library, recipe: Recipe = PLAIN) -> ArrayArea:
    """Measure an engine's array; the recipe is that of its columns."""
    return measure_array(config, library).with_column(measure_column(config.array, library, recipe))


def measure_column(array: ArrayConfig, library: Library, recipe: Recipe = PLAIN) -> float:
    """Give the area of a column of cells in um2."""
    return area_of(Column(array), library, recipe).area_um2


def measure_array(config: EngineConfig, library: Library) -> ArrayArea:
    """Measure an engine's array without the area of its columns."""
    return _measure(_design(config), library, PARTS)


def measure_common(config: EngineConfig, library: Library) -> ArrayArea:
    """Measure what an engine has besides the array; the multipliers of DRAIN's requantisers are Booth's."""
    return _measure(_design(config), library, COMMON, BOOTH)


def _design(config: EngineConfig) -> Design:
    """Convert an engine, once for all libraries."""
    with _converting:
        return _convert(config)


_converting = threading.Lock()


@lru_cache(maxsize=16)
def _convert(config: EngineConfig) -> Design:
    return convert_one(Engine(config))


def _measure(design: Design, library: Library, scope: dict[str, str], recipe: Recipe = PLAIN) -> ArrayArea:
    """Synthesise the modules of the parts in `scope`, all in one go, but for the columns."""
    part = {name: _part(name) for name in MODULE.findall(design.rtlil)}
    kept = [name for name in part if (part[name] in scope and part[name] != "cells") or _below(name) in PARENTS]
    bits = {str(memory["module"]): int(memory["depth"]) * int(memory["width"]) for memory in design.memories}
    memories = [name for name in part if re.fullmatch(MEMORY, _below(name))]
    hidden = memories + [name for name in part if part[name] and name not in kept]
    with tempfile.TemporaryDirectory(prefix="cleave_report_") as folder:
        modules = synthesise(design, library, Path(folder), recipe, kept=kept, black_boxes=hidden)

    @cache
    def instances(name: str) -> int:
        above = {parent: module.cells[name] for parent, module in modules.items() if name in module.cells}
        return 1 if name == TOP else sum(count * instances(parent) for parent, count in above.items())

    areas = [ModuleArea("column", "cells", instances(f"{TOP}_column"), 0.0)]
    for name, module in modules.items():
        skewed = sum(
            count * library.areas_um2[cell] for (cell, net), count in module.registers.items() if SKEW.fullmatch(net)
        )  # fmt: skip
        if skewed:
            areas.append(ModuleArea(_below(name), "skew", instances(name), skewed))
        areas.append(ModuleArea(_below(name), part[name], instances(name), module.area_um2(library) - skewed))
    return ArrayArea([area for area in areas if area.part in scope], sum(instances(name) * bits[name] for name in memories))


def _part(module: str) -> str:
    """Give a module's part; none for what becomes part of the module above it."""
    return next((part for part, names in (PARTS | COMMON).items() if re.fullmatch(names, _below(module))), "")


def _below(module: str) -> str:
    """Name a module without the design's name."""
    return module.removeprefix(f"{TOP}_")
