"""The area report: cells, blocks, and an engine's array split, unsplit and as a textbook has it."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, Self, TypeVar

from ..config import EngineConfig
from .arrays import ArrayArea, measure_array, measure_column, measure_common
from .blocks import BLOCKS, Block, measure_block
from .cells import CANDIDATES, WideSums, measure_cell
from .hard_cells import DONT_USE, hard_cells
from .liberty import Library
from .precision import STRUCTURES, measure_lanes, measure_structure
from .synthesis import BOOTH, PLAIN, RECIPE
from .tools import versions

__all__ = [
    "Workers", "area_report", "conditions", "cells_report", "blocks_report", "precision_report", "array_report", "textbook"
]  # fmt: skip

Result = TypeVar("Result")


class Workers:
    """Threads, each of which waits for one synthesis; `done` is called after each. The same work is done once."""

    def __init__(self, done: Callable[[], None] = lambda: None) -> None:
        self._pool, self._done = ThreadPoolExecutor(os.cpu_count()), done
        self._started: dict[Any, Future[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, work: Callable[..., Result], *arguments: Any) -> "Future[Result]":  # noqa: ANN401  as `work` takes them
        """Do some work as soon as a thread is free."""
        key = work, arguments
        if key not in self._started:
            self._started[key] = self._pool.submit(work, *arguments)
            self._started[key].add_done_callback(lambda _: self._done())
        return self._started[key]


def area_report(config: EngineConfig, library: Library, workers: Workers) -> dict[str, Any]:
    """Give all of one library and one engine, as JSON takes it, with units in the names."""
    array = array_report(config, library, workers)
    cells, blocks = cells_report(library, workers), blocks_report(library, workers)
    return conditions(library) | array | {"cells": cells, "blocks": blocks}


def conditions(library: Library) -> dict[str, Any]:
    """Give what a library's numbers hold for."""
    cells = {"name": library.name, "cells": len(library.areas_um2), "hard_cells": [hard.cell for hard in hard_cells(library)]}
    return {"library": cells | {"cells_not_used": list(DONT_USE)}, "recipe": RECIPE, "tools": versions()}


def cells_report(library: Library, workers: Workers) -> dict[str, dict[str, Any]]:
    """Measure every cell; by its name."""
    futures = {candidate.name: workers.start(measure_cell, candidate, library) for candidate in CANDIDATES}
    return {name: asdict(future.result()) for name, future in futures.items()}


def blocks_report(library: Library, workers: Workers, blocks: Sequence[Block] = BLOCKS) -> list[dict[str, Any]]:
    """Measure every building block, or others."""
    futures = [workers.start(measure_block, block, library) for block in blocks]
    results = [future.result() for future in futures]
    return [
        {"does": block.does, "how": block.how, "area_um2": result.area_um2, "delay_ns": result.delay_ns}
        for block, result in zip(blocks, results, strict=True)
    ]


def precision_report(shapes: Mapping[str, EngineConfig], library: Library, workers: Workers) -> dict[str, Any]:
    """Measure what makes more of 4-bit operands: the cells of every structure, and arrays with two lanes in each column."""
    cells = {structure.name: workers.start(measure_structure, structure, library) for structure in STRUCTURES}
    arrays = {shape: workers.start(measure_lanes, config, library) for shape, config in shapes.items()}
    facts = ("int8", "w4a8", "w4a4", "moving_bytes")
    return {
        "structures": {
            structure.name: cells[structure.name].result() | {name: getattr(structure, name) for name in facts}
            for structure in STRUCTURES
        },
        "lanes": {shape: future.result() for shape, future in arrays.items()},
    }


def textbook(config: EngineConfig) -> EngineConfig:
    """Give the textbook's engine of the same MACs: one slab of textbook cells, without block scales."""
    array = replace(config.array, dot=1, load_rows=1, multiply_stages=0, cell="textbook")
    depth = config.stationary_depth * config.array.load_rows
    return replace(config.plain(), array=array, stationary_depth=min(depth, 2**15)).monolithic()


def array_report(config: EngineConfig, library: Library, workers: Workers) -> dict[str, Any]:
    """Measure an engine's array, the monolithic array of the same cells, and the textbook array.

    Textbook cells are tried in every way that there is, and the smallest counts. `logic_um2` is the array with its sequencers
    and all that belongs to slabs, `engine_logic_um2` all that an engine has.
    """
    engines = {"split": config, "monolithic": config.monolithic(), "textbook": textbook(config)}
    book = engines["textbook"].array
    common = {name: workers.start(measure_common, engines[name], library) for name in ("split", "monolithic")}
    rest = {name: workers.start(measure_array, engine, library) for name, engine in engines.items()}
    columns = {name: workers.start(measure_column, engines[name].array, library) for name in ("split", "monolithic")}
    books = {
        "* and +": workers.start(measure_column, book, library, PLAIN),
        "Booth": workers.start(measure_column, book, library, BOOTH),
        "in gates": workers.start(measure_column, WideSums(**asdict(replace(book, cell="gates"))), library),
    }
    textbooks = {how: rest["textbook"].result().with_column(column.result()) for how, column in books.items()}
    arrays = {name: rest[name].result().with_column(column.result()) for name, column in columns.items()}
    best = min(textbooks, key=lambda how: textbooks[how].logic_um2)
    arrays["textbook"] = textbooks[best]
    split = arrays["split"]
    whole = {name: arrays[name].logic_um2 + common[name].result().logic_um2 for name in common}
    return {
        "config": config.name,
        "cell": config.array.cell,
        "block_scales": config.block_scales,
        "accumulator_bits": config.accumulator_bits,
        "macs": config.array.macs,
        "logic_um2": split.logic_um2,
        "split_over_monolithic": split.logic_um2 / arrays["monolithic"].logic_um2,
        "split_over_textbook": split.logic_um2 / arrays["textbook"].logic_um2,
        "memory_bits": split.memory_bits,
        "engine_logic_um2": whole["split"],
        "engine_split_over_monolithic": whole["split"] / whole["monolithic"],
        "textbook_cell": best,
        "textbook_logic_um2": {how: array.logic_um2 for how, array in textbooks.items()},
        "parts": {name: _with_units(array.parts_um2) for name, array in arrays.items()},
        "engine_parts": {name: _with_units(future.result().parts_um2) for name, future in common.items()},
        "arrays": {name: _details(array, engines[name]) for name, array in arrays.items()},
    }


def _with_units(parts: dict[str, float]) -> dict[str, float]:
    return {f"{part}_um2": um2 for part, um2 in parts.items()}


def _details(array: ArrayArea, config: EngineConfig) -> dict[str, Any]:
    return {
        "config": config.name,
        "logic_um2": array.logic_um2,
        "um2_per_mac": array.logic_um2 / config.array.macs,
        "memory_bits": array.memory_bits,
        "modules": [asdict(module) for module in array.modules],
    }
