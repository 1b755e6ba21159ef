"""Swing modulo scheduling: known loops, and random ones against what a schedule must keep."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleave.compile.schedule import Dependence, Operation, Schedule, modulo_schedule


def check(operations: list[Operation], dependences: list[Dependence], schedule: Schedule) -> None:
    """Dependences are kept, and no resource has two users in a cycle, played out for many iterations."""
    interval, start = schedule.interval, schedule.start
    for d in dependences:
        latency = operations[d.source].latency if d.latency is None else d.latency
        assert start[d.source] + latency <= start[d.target] + d.distance * interval, d
    for resource in {name for operation in operations for name in operation.busy}:
        held = sorted(
            (start[o] + i * interval, start[o] + i * interval + operation.busy.get(resource, 0))
            for o, operation in enumerate(operations)
            for i in range(3 * schedule.stages)
            if operation.busy.get(resource, 0)
        )
        assert all(end <= begin for (_, end), (begin, _) in pairwise(held)), resource


def test_double_buffering_falls_out() -> None:
    """Load, multiply, drain: with two buffers the busiest of them sets the pace, with one the way round does."""
    operations = [
        Operation("load", {"bus": 60}, 80), Operation("multiply", {"array": 100}, 110), Operation("drain", {"drain": 40}, 50),
    ]  # fmt: skip
    chain = [Dependence(0, 1), Dependence(1, 2)]
    for buffers, interval in [(1, 190), (2, 100), (3, 100)]:
        dependences = [*chain, Dependence(1, 0, buffers)]
        schedule = modulo_schedule(operations, dependences)
        check(operations, dependences, schedule)
        assert (schedule.interval, schedule.least) == (interval, interval)
        lifetime = schedule.start[1] + 110 - schedule.start[0]
        assert lifetime <= buffers * interval


def test_results_wait_no_longer_than_they_must() -> None:
    """The load that only the last operation needs is placed right before it, not at the start."""
    operations = [Operation("late", {"bus": 1}, 1), *(Operation(f"{n}", {f"{n}": 10}, 50) for n in range(4))]
    dependences = [Dependence(0, 4), Dependence(1, 2), Dependence(2, 3), Dependence(3, 4)]
    schedule = modulo_schedule(operations, dependences)
    assert schedule.start[4] - schedule.start[0] == 1
    assert schedule.interval == 10


def test_order_is_that_of_starts() -> None:
    schedule = Schedule(10, 10, (0, 12, 25))
    assert list(schedule.order(3)) == [
        (0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (1, 2), (2, 1), (2, 2),
    ]  # fmt: skip
    assert schedule.stages == 3
    assert list(schedule.order(0)) == []


def test_nothing_to_do() -> None:
    assert modulo_schedule([], []) == Schedule(1, 1, ())
    assert modulo_schedule([Operation("idle", {}, 0)], [], 7).interval == 7


def test_refuses_a_dependence_backwards() -> None:
    operations = [Operation("a", {}, 1), Operation("b", {}, 1)]
    with pytest.raises(ValueError, match="within an iteration must go to a later operation"):
        modulo_schedule(operations, [Dependence(1, 0)])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_random_loops(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    resources = st.dictionaries(st.sampled_from("abc"), st.integers(0, 30), max_size=2)
    operations = [Operation(str(n), data.draw(resources), data.draw(st.integers(0, 60))) for n in range(count)]
    numbers = st.integers(0, count - 1)
    dependences = []
    for _ in range(data.draw(st.integers(0, 12))):
        source, target = data.draw(numbers), data.draw(numbers)
        least = 0 if source < target else 1
        dependences.append(Dependence(source, target, data.draw(st.integers(least, 3)), data.draw(st.none() | st.integers(0, 9))))
    schedule = modulo_schedule(operations, dependences)
    check(operations, dependences, schedule)
    assert schedule.interval >= schedule.least
    assert min(schedule.start) == 0
    times = [(schedule.start[o] + i * schedule.interval) for o, i in schedule.order(4)]
    assert times == sorted(times)
    assert len(times) == 4 * count
