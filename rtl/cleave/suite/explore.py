"""A search over arrays: every combination of the given sizes on the suite, and those that no other one beats (`cleave explore`).

Each workload on each engine is a task of its own for Dask. Its result goes to an SQLite file as soon as it is there, under a key of
all that it follows from: the engine, the workload, the memory, and the package's own sources. A search that was interrupted, or one
with more sizes, computes only what is not there.
"""

import asyncio
import dataclasses
import hashlib
import itertools
import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import AXI_DATA_WIDTHS, DRAM_LATENCY, ArrayConfig, ConfigError, EngineConfig
from ..report.estimate import AreaEstimate
from .bench import geometric_mean
from .measure import predict_workload
from .shapes import Workload

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ARRAY_SIZES", "Point", "Results", "cluster", "explore", "front", "grid"]

ARRAY_SIZES = ("slabs", "rows", "columns", "dot", "load_rows")
"""Parameters of `ArrayConfig` that are varied."""

PACKAGE = Path(__file__).parents[1]

CONNECT_SECONDS = 5
"""Longest wait for a scheduler's answer."""


@dataclasses.dataclass(frozen=True)
class Point:
    """An engine on a memory of so many bytes a cycle."""

    config: EngineConfig
    bandwidth: float


def grid(base: EngineConfig, sizes: Mapping[str, Sequence[int]], bandwidths: Sequence[float]) -> list[Point]:
    """Give all legal combinations; the bus is the narrowest that the bandwidth needs, everything else as in `base`.

    Raises
    ------
    ConfigError
        If a value is in no legal combination, by the rule that its last one broke; or there are none at all.
    """
    points: list[Point] = []
    broken = ""
    unused: dict[tuple[str, float], str] = {
        (name, value): "" for name, values in (*sizes.items(), ("bandwidth", bandwidths)) for value in values
    }
    for *array_sizes, bandwidth in itertools.product(*sizes.values(), bandwidths):
        named = dict(zip(sizes, array_sizes, strict=True))
        used = [*named.items(), ("bandwidth", bandwidth)]
        try:
            array: ArrayConfig = dataclasses.replace(base.array, **named)
            points.append(Point(dataclasses.replace(base, array=array, axi_data_width=bus_width(bandwidth)), bandwidth))
        except ConfigError as error:
            broken = str(error)
            unused.update((value, broken) for value in used if value in unused)
        else:
            for value in used:
                unused.pop(value, None)
    if not points:
        raise ConfigError(f"no combination of the sizes is legal: {broken}")
    for (name, value), rule in unused.items():
        raise ConfigError(f"{name} {value:g} is in no legal combination: {rule}")
    return points


def bus_width(bandwidth: float) -> int:
    """Give the bits of the narrowest bus for so many bytes a cycle.

    Raises
    ------
    ConfigError
        If no bus is wide enough, or the bandwidth is not above 0.
    """
    for width in AXI_DATA_WIDTHS:
        if 0 < bandwidth * 8 <= width:
            return width
    raise ConfigError(f"bandwidth must be above 0 and at most {AXI_DATA_WIDTHS[-1] // 8} bytes a cycle, not {bandwidth:g}")


@cache
def version() -> str:
    """Give a digest of the package's sources."""
    digest = hashlib.sha256()
    for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".cpp", ".h")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def key(point: Point, workload: Workload, latency: int) -> str:
    """Give a digest of all that a result follows from."""
    what = [
        dataclasses.asdict(point.config), point.bandwidth, latency, workload.parts, workload.k, workload.n, version()
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


class Results:
    """Results in an SQLite file, one row for each task.

    Parameters
    ----------
    path
        The file; made if need be.

    Raises
    ------
    ValueError
        If it is a file of another kind.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        try:
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, config TEXT, workload TEXT, result TEXT)"
            )
            self._connection.execute("SELECT key, config, workload, result FROM results LIMIT 1")
        except sqlite3.Error as error:
            self._connection.close()
            raise ValueError(f"{path} must be a file of results, or not exist: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, name: str) -> dict[str, Any] | None:
        """Give the result under a key, or None."""
        row = self._connection.execute("SELECT result FROM results WHERE key = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, name: str, point: Point, workload: Workload, result: Mapping[str, Any]) -> None:
        """Keep a result, on disk when this returns."""
        row = (name, point.config.name, workload.name, json.dumps(result))
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", row)


def evaluate(point: Point, workload: Workload, latency: int) -> dict[str, Any]:
    """Compile and predict one workload on one engine; an engine that cannot hold it gives the rule that it breaks."""
    try:
        prediction = predict_workload(
            workload.parts, workload.k, workload.n, point.config, latency=latency, bandwidth=point.bandwidth
        )
    except ValueError as error:
        return {"refused": str(error)}
    return {"cycles": prediction.cycles, "array_cycles": prediction.array_cycles, "bound_cycles": prediction.bounds.cycles}


@contextmanager
def cluster(scheduler: str | None, workers: int) -> "Iterator[Client]":
    """Connect to a Dask scheduler, or start workers on this machine.

    Raises
    ------
    ValueError
        If there is no scheduler at the address.
    """
    from distributed import Client, LocalCluster  # noqa: PLC0415  takes a second
    from distributed.comm.core import connect  # noqa: PLC0415

    async def answers(address: str) -> None:
        await (await connect(address, timeout=CONNECT_SECONDS)).close()

    if scheduler is not None:
        try:
            asyncio.run(answers(scheduler))
        except (OSError, ValueError) as error:
            raise ValueError(f"--scheduler must be the address of a Dask scheduler, not {scheduler!r}: {error}") from error
        with Client(scheduler) as client:
            yield client
        return
    quiet: dict[str, Any] = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=workers > 1, **quiet) as local, Client(local) as client:
        yield client


def explore(
    points: Sequence[Point],
    workloads: Sequence[Workload],
    results: Results,
    connect: "Callable[[], AbstractContextManager[Client]]",
    *,
    latency: int = DRAM_LATENCY,
    advance: Callable[[int], None] = lambda _count: None,
) -> dict[Point, list[dict[str, Any]]]:
    """Give the results of every point, workload by workload; what is not in `results` is computed and put there.

    Parameters
    ----------
    connect
        Gives a context with a Dask client; called only if something is to be computed.
    advance
        Told how many results more there are.
    """
    keys = {(point, workload): key(point, workload, latency) for point in points for workload in workloads}
    found = {task: result for task, name in keys.items() if (result := results.get(name)) is not None}
    advance(len(found))
    missing = [task for task in keys if task not in found]
    if missing:
        from distributed import as_completed  # noqa: PLC0415  takes a second

        with connect() as client:
            futures = {client.submit(evaluate, *task, latency, key=keys[task], pure=True): task for task in missing}
            for future, result in as_completed(futures, with_results=True):
                task = futures[future]
                found[task] = result
                results.put(keys[task], *task, result)
                advance(1)
    return {point: [found[point, workload] for workload in workloads] for point in points}


def summarise(
    found: Mapping[Point, Sequence[Mapping[str, Any]]], workloads: Sequence[Workload], area: AreaEstimate
) -> tuple[list[dict[str, Any]], list[str]]:
    """Give what each point comes to, those on the front marked, largest utilisation first; and why the others were left out."""
    rows, refused = [], []
    for point, results in found.items():
        wrong = [result["refused"] for result in results if "refused" in result]
        if wrong:
            refused.append(f"{point.config.name}: {wrong[0]}")
            continue
        array = point.config.array
        used = [work.macs / (array.macs * result["cycles"]) for work, result in zip(workloads, results, strict=True)]
        alone = [work.macs / (array.macs * result["array_cycles"]) for work, result in zip(workloads, results, strict=True)]
        reached = [result["bound_cycles"] / result["cycles"] for result in results]
        rows.append({
            "config": point.config.name,
            **{name: getattr(array, name) for name in ARRAY_SIZES},
            "macs": array.macs,
            "bandwidth_bytes_per_cycle": point.bandwidth,
            "area_um2": area.um2(point.config),
            "utilisation": geometric_mean(used),
            "array_utilisation": geometric_mean(alone),
            "macs_per_cycle": geometric_mean(used) * array.macs,
            "reached": geometric_mean(reached),
        })
    best = front([(-row["utilisation"], row["area_um2"], row["bandwidth_bytes_per_cycle"]) for row in rows])
    for place, row in enumerate(rows):
        row["front"] = place in best
    return sorted(rows, key=lambda row: -row["utilisation"]), refused


def front(costs: Iterable[tuple[float, ...]]) -> set[int]:
    """Give the places of the costs that no other one is at most as high as in all, and lower in some: the Pareto front."""
    costs = list(costs)
    return {
        place for place, cost in enumerate(costs)
        if not any(other != cost and all(a <= b for a, b in zip(other, cost, strict=True)) for other in costs)
    }  # fmt: skip


def search(
    points: Sequence[Point],
    workloads: Sequence[Workload],
    path: Path,
    *,
    library: str,
    scheduler: str | None,
    workers: int,
    latency: int,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Explore, and give all points for JSON, with units in the names.

    Raises
    ------
    ValueError
        If `path` or `scheduler` are not what they must be, or no engine can hold all workloads.
    LibraryError
        If there are no measurements of the library.
    """
    area = AreaEstimate(library)
    with closing(Results(path)) as results:
        found = explore(points, workloads, results, lambda: cluster(scheduler, workers), latency=latency, advance=advance)
    rows, refused = summarise(found, workloads, area)
    if not rows:
        raise ValueError(f"an engine must hold all workloads: {refused[0]}")
    return {
        "workloads": [workload.name for workload in workloads],
        "memory_latency_cycles": latency,
        "library": library,
        "area": f"estimated from synthesised arrays, which it meets to {100 * area.worst:.1f} %; the array's logic, no memories",
        "points": rows,
        "left_out": refused,
    }
