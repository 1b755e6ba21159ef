"""The tile loop, software-pipelined: when the operations of an iteration start.

The loop's body is an iteration of `tiling`: load a chunk of moving rows, and for each set load its stationary tiles, multiply, and
after the last chunk of a block drain. Here is how long each takes, and what comes after what; `schedule` finds an order in which
iterations overlap.
"""

from dataclasses import replace

from .schedule import Dependence, Operation, Schedule, modulo_schedule
from .tiling import Tiling

__all__ = ["MOVING", "PARAMETERS", "PIPELINE", "operation", "schedule"]

PIPELINE = 16
"""Cycles that a unit takes from its tokens to its work and back, about: only the order of operations depends on it."""

PARAMETERS, MOVING = 0, 1
"""First operations of an iteration. Behind them, for each set: load its stationary tiles, multiply, drain."""


def operation(kind: int, number: int) -> int:
    """Give the number of a set's operation: kind 0 loads, 1 multiplies, 2 drains."""
    return 2 + 3 * number + kind


def schedule(tiling: Tiling, latency: int, ahead: int) -> Schedule:
    """Schedule an iteration, as long as they are on average, on a memory of so many cycles' latency.

    Loads come `ahead` multiplications before they must, as far as slots allow, so that they may be late when results take the bus.
    """
    totals, sets = tiling.totals, tiling.sets
    iterations = totals.iterations

    def each(total: int) -> int:
        return int(-(-total // (iterations * sets)))

    trip, flight = latency + PIPELINE, tiling.config.array.row_latency + PIPELINE
    moving, parameters = int(-(-totals.moving // iterations)), -(-totals.parameters // iterations)
    stationary, multiply, drain = each(totals.stationary), each(totals.array), each(totals.drain)
    load = moving + parameters + sets * stationary
    interval = max(int(-(-totals.bus // iterations)), load, sets * multiply, sets * drain)
    held = min(
        tiling.moving_slots * interval - moving - sets * multiply,
        tiling.stationary_slots * interval // sets - stationary - multiply,
    )
    early = max(0, min(held - flight - trip, ahead * interval // sets))
    operations = [
        Operation("parameters", {"load": parameters}, parameters + trip),
        Operation("moving", {"load": moving}, moving + trip + early),
    ]
    dependences = [Dependence(MOVING, operation(1, 0))]
    last = sets - 1
    for j in range(sets):
        operations += [
            Operation(f"stationary {j}", {"load": stationary}, stationary + trip + early),
            Operation(f"multiply {j}", {"array": multiply}, multiply + flight),
            Operation(f"drain {j}", {"drain": drain}, drain + trip),
        ]
        dependences += [Dependence(operation(0, j), operation(1, j)), Dependence(operation(1, j), operation(2, j))]
        dependences.append(Dependence(PARAMETERS, operation(2, j)))
        # What reuses a slot comes after what used it.
        blocks, other = divmod(j + tiling.stationary_slots, sets)
        dependences.append(Dependence(operation(1, j), operation(0, other), blocks))
        blocks, other = divmod(j + tiling.accumulator_slots, sets)
        dependences.append(Dependence(operation(2, j), operation(1, other), (blocks - 1) * tiling.chunks + 1))
        # Operations of a kind keep their order.
        following, distance = (j + 1, 0) if j < last else (0, 1)
        dependences += [Dependence(operation(kind, j), operation(kind, following), distance, 0) for kind in range(3)]
    dependences += [
        Dependence(operation(1, last), MOVING, tiling.moving_slots),
        Dependence(operation(2, last), PARAMETERS, (tiling.parameter_slots - 1) * tiling.chunks + 1),
    ]
    found = modulo_schedule(operations, dependences, interval)
    each_drain = int(-(-totals.drain // (totals.row_blocks * tiling.column_sets)))
    return _issued(found, dependences, sets, each_drain, (tiling.config.queue_depth - 1) * found.interval // sets)


def _issued(schedule: Schedule, dependences: list[Dependence], sets: int, drain: int, ahead: int) -> Schedule:
    """Say when instructions are issued, so that none stands in front of a full queue while another unit has nothing to do.

    A multiplication is issued `ahead` of its start, but after what it depends on. Drains, which come in the last chunk of a block
    all together, are issued `drain` cycles after each other, but before what depends on them.
    """
    start, interval = list(schedule.start), schedule.interval
    for j in range(sets):
        number = operation(2, j)
        latest = min(start[d.target] + d.distance * interval - 1 for d in dependences if d.source == number and d.target != number)
        start[number] = max(start[number], min(start[operation(2, j - 1)] + drain if j else 0, latest))
    for j in range(sets):
        number = operation(1, j)
        issued = [start[d.source] - d.distance * interval + 1 for d in dependences if d.target == number]
        start[number] = min(start[number], max([start[number] - ahead, *issued]))
    least = min(start)
    return replace(schedule, start=tuple(each - least for each in start))
