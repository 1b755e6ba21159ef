"""Swing modulo scheduling: the order of a loop's operations in which iterations overlap.

The method is that of Llosa, Gonzalez, Ayguade and Valero, "Swing Modulo Scheduling: A Lifetime-Sensitive Approach", PACT 1996.
Iterations start `interval` cycles apart, and operation `o` of iteration `i` in cycle `start[o] + i * interval`. The interval is at
least what the busiest resource is busy for in an iteration, and what a circle of dependences takes per iteration that it spans.
Operations are placed one after the other, the circles first, each next to those that it depends on or that depend on it, as near as
possible: so results wait no longer than they must, and buffers are few. How many of a buffer there are is said by a dependence back
from its last reader to its next writer; that of two buffers is what is called double buffering.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Dependence", "Operation", "Schedule", "modulo_schedule"]


@dataclass(frozen=True)
class Operation:
    """Something that is done once in each iteration.

    Attributes
    ----------
    name
        What it is.
    busy
        Cycles from its start for which it has each of its resources for itself, at least 0.
    latency
        Cycles from its start to its result, at least 0.
    """

    name: str
    busy: Mapping[str, int]
    latency: int


@dataclass(frozen=True)
class Dependence:
    """Operation `target` may start when `source`, by numbers, of `distance` iterations before has its result.

    Or, with `latency`, so many cycles after that has started. Dependences within an iteration have distance 0 and go from
    operations to later ones.
    """

    source: int
    target: int
    distance: int = 0
    latency: int | None = None


@dataclass(frozen=True)
class Schedule:
    """When operations start.

    Attributes
    ----------
    interval
        Cycles from one iteration to the next.
    least
        The lower bound of any schedule's interval, by resources and circles of dependences.
    start
        Of each operation in iteration 0, at least 0.
    """

    interval: int
    least: int
    start: tuple[int, ...]

    @property
    def stages(self) -> int:
        """Iterations, in whole or part, that overlap."""
        return max(self.start, default=0) // self.interval + 1

    def order(self, iterations: int) -> Iterator[tuple[int, int]]:
        """Give (operation, iteration) of a loop in the order in which they start: what runs in, what repeats, what runs out."""
        kernel = sorted(range(len(self.start)), key=lambda o: (self.start[o] % self.interval, self.start[o], o))
        for time in range(iterations + self.stages - 1):
            for operation in kernel:
                iteration = time - self.start[operation] // self.interval
                if 0 <= iteration < iterations:
                    yield operation, iteration


def modulo_schedule(operations: Sequence[Operation], dependences: Sequence[Dependence], least: int = 1) -> Schedule:
    """Schedule a loop's body, in an interval of at least `least` cycles.

    Raises
    ------
    ValueError
        If a dependence within an iteration goes backwards.
    """
    for dependence in dependences:
        if dependence.distance == 0 and dependence.source >= dependence.target:
            raise ValueError(f"a dependence within an iteration must go to a later operation, not {dependence}")
    demand: dict[str, int] = {}
    for operation in operations:
        for resource, cycles in operation.busy.items():
            demand[resource] = demand.get(resource, 0) + cycles
    body = _Body(operations, dependences)
    bound = body.least_interval(max([least, 1, *demand.values()]))
    interval = bound
    while True:
        for swings in (True, False):
            start = body.place(interval, swings=swings)
            if start is not None:
                early = min(start, default=0)
                return Schedule(interval, bound, tuple(each - early for each in start))
        interval += max(1, interval // 64)


@dataclass
class _Body:
    operations: Sequence[Operation]
    dependences: Sequence[Dependence]
    into: list[list[Dependence]] = field(init=False)
    out_of: list[list[Dependence]] = field(init=False)

    def __post_init__(self) -> None:
        self.into = [[d for d in self.dependences if d.target == o] for o in range(len(self.operations))]
        self.out_of = [[d for d in self.dependences if d.source == o] for o in range(len(self.operations))]

    def delay(self, dependence: Dependence, interval: int) -> int:
        """Give the least cycles from the start of the source to that of the target, of the same iteration."""
        latency = self.operations[dependence.source].latency if dependence.latency is None else dependence.latency
        return latency - dependence.distance * interval

    def earliest(self, interval: int) -> list[int] | None:
        """Give the longest way to each operation, or None if a circle takes longer than its iterations."""
        times = [0] * len(self.operations)
        for _ in range(len(self.operations) + 1):
            changed = False
            for dependence in self.dependences:
                time = times[dependence.source] + self.delay(dependence, interval)
                if time > times[dependence.target]:
                    times[dependence.target], changed = time, True
            if not changed:
                return times
        return None

    def least_interval(self, least: int) -> int:
        """Give the shortest interval, at least `least`, in which no circle of dependences takes longer than its iterations."""
        high = least
        while self.earliest(high) is None:
            high *= 2
        low = max(least, high // 2)
        while low < high:
            middle = (low + high) // 2
            if self.earliest(middle) is None:
                low = middle + 1
            else:
                high = middle
        return high

    def place(self, interval: int, *, swings: bool) -> list[int] | None:
        """Place all operations, or give None where one has no room.

        In the order of the swing an operation between two that are placed may have none at any interval; in the order of the
        iteration, which is taken if not `swings`, it has at a long one.
        """
        early = self.earliest(interval)
        if early is None:
            return None
        late = self.latest(interval, max(early, default=0))
        start: dict[int, int] = {}
        table = _Reservations(interval)
        for o in self.swing(early, late) if swings else range(len(self.operations)):
            before = [start[d.source] + self.delay(d, interval) for d in self.into[o] if d.source in start]
            after = [start[d.target] - self.delay(d, interval) for d in self.out_of[o] if d.target in start]
            needed = any(d.target in start and not d.distance for d in self.out_of[o])
            needs = any(d.source in start and not d.distance for d in self.into[o])
            busy = self.operations[o].busy
            if needed and not needs:  # as late as may be: its result waits the less
                span = min([interval, *(min(after) - each + 1 for each in before)])
                time = table.room(busy, min(after), -1, span)
            else:
                first = max(early[o], *before) if before else early[o]
                span = min([interval, *(each - first + 1 for each in after)])
                time = table.room(busy, first, 1, span)
            if time is None:
                return None
            table.take(self.operations[o].busy, time)
            start[o] = time
        return [start[o] for o in range(len(self.operations))]

    def latest(self, interval: int, end: int) -> list[int]:
        """Give the latest start of each operation that delays none beyond `end`."""
        times = [end] * len(self.operations)
        changed = True
        while changed:  # ends, as no circle takes longer than its iterations
            changed = False
            for d in self.dependences:
                time = times[d.target] - self.delay(d, interval)
                if time < times[d.source]:
                    times[d.source], changed = time, True
        return times

    def swing(self, early: list[int], late: list[int]) -> list[int]:
        """Order the operations: the tightest circles first, and each after a neighbour, downwards and upwards in turn.

        An operation is then placed with only those before it placed, or only those after it, except where a circle closes.
        """
        slack = [latest - earliest for earliest, latest in zip(early, late, strict=True)]
        waiting = set(range(len(self.operations)))
        order: list[int] = []
        for group in [*self.circles(slack), waiting.copy()]:
            left = {o for o in group if o in waiting}
            while left:
                below = {d.target for o in order for d in self.out_of[o]} & left
                above = {d.source for o in order for d in self.into[o]} & left
                down = bool(below) or not above
                front = below or above or {min(left, key=lambda o: (slack[o], early[o], o))}
                while front:
                    if down:
                        o = min(front, key=lambda o: (early[o], slack[o], o))
                        neighbours = {d.target for d in self.out_of[o]}
                    else:
                        o = max(front, key=lambda o: (late[o], -slack[o], o))
                        neighbours = {d.source for d in self.into[o]}
                    order.append(o)
                    left.discard(o)
                    waiting.discard(o)
                    front = (front | neighbours) & left
        return order

    def circles(self, slack: list[int]) -> list[set[int]]:
        """Give the strongly connected operations, those with the least slack first."""
        reach = [{o} for o in range(len(self.operations))]
        changed = True
        while changed:
            changed = False
            for d in self.dependences:
                if not reach[d.target] <= reach[d.source]:
                    reach[d.source] |= reach[d.target]
                    changed = True
        groups = {frozenset(p for p in reach[o] if o in reach[p]) for o in range(len(self.operations))}
        circles = [set(group) for group in groups if len(group) > 1]
        return sorted(circles, key=lambda group: (min(slack[o] for o in group), min(group)))


class _Reservations:
    """Who has a resource when, by cycles modulo the interval."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.taken: dict[str, list[tuple[int, int]]] = {}

    def room(self, busy: Mapping[str, int], first: int, step: int, span: int) -> int | None:
        """Give the first of `span` cycles, from `first` on forwards or backwards, in which all resources are free."""
        time = first
        while abs(time - first) < span:
            conflict = self.conflict(busy, time, step)
            if conflict == 0:
                return time
            time += step * conflict
        return None

    def conflict(self, busy: Mapping[str, int], time: int, step: int) -> int:
        """Give how far to go, forwards or backwards, to get past what is in the way, or 0."""
        for resource, cycles in busy.items():
            for start, length in self.taken.get(resource, ()) if cycles else ():
                ahead = (time - start) % self.interval  # how long ago the other started
                if ahead < length:
                    return length - ahead if step > 0 else ahead + cycles
                if ahead + cycles > self.interval:
                    return self.interval - ahead + length if step > 0 else ahead + cycles - self.interval
        return 0

    def take(self, busy: Mapping[str, int], time: int) -> None:
        for resource, cycles in busy.items():
            if cycles:
                self.taken.setdefault(resource, []).append((time % self.interval, cycles))
