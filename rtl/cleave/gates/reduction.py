"""Reduction plans: how many adders compress each column of a bit heap, level by level, as data.

A level is a list of (full, half): the full and half adders of each column, which all work at once; an adder's sum stays in
its column and its carry enters the next, both for the level after. The top column's carries fall out.
"""

from collections.abc import Callable

__all__ = ["Level", "REDUCTIONS", "dadda", "wallace", "reduced_area", "after"]

Level = list[tuple[int, int]]


def dadda(heights: list[int]) -> list[Level]:
    """Compress as late as the least number of levels allows.

    Levels: the number of terms of 2, 3, 4, 6, 9, 13, 19, 28, 42, 63 ... (each the floor of 1.5 times the one before) that are
    less than the highest column. Half adders: at most one per column and level, where a column is one too high. An unsigned
    n x n product takes n * n - 4 * n + 3 full and n - 1 half adders. Source: L. Dadda, "Some schemes for parallel
    multipliers", 1965.
    """
    plan = []
    for target in _targets(heights):
        level: Level = []
        carries = 0
        for height in heights:
            excess = max(0, height + carries - target)
            level.append((excess // 2, excess % 2))
            carries = sum(level[-1])
        plan.append(level)
        heights = after(heights, level)
    return plan


def wallace(heights: list[int]) -> list[Level]:
    """Compress every column as much as possible in every level: three bits by a full adder, two left over by a half adder.

    At most one level more than `dadda`, and more half adders, but the last addition is shorter. Source: C. Wallace, "A
    suggestion for a fast multiplier", 1964.
    """
    plan = []
    while max(heights, default=0) > 2:
        level = [divmod(height, 3) for height in heights]
        plan.append([(full, int(rest == 2)) for full, rest in level])
        heights = after(heights, plan[-1])
    return plan


def reduced_area(heights: list[int]) -> list[Level]:
    """Compress three bits wherever there are three, and two only where a column would be too high for its level.

    As many levels as `dadda` and hardly any half adders; the bits go away as early as they can, so that registers between
    the levels are few. Source: K. Bickerstaff, M. Schulte and E. Swartzlander, "Reduced area multipliers", 1993, without its
    half adders at the low end, which only shorten the last addition.
    """
    plan = []
    for target in _targets(heights):
        level: Level = []
        carries = 0
        for height in heights:
            full, rest = divmod(height, 3)
            half = int(rest == 2 and full + rest + carries > target)
            level.append((full, half))
            carries = full + half
        plan.append(level)
        heights = after(heights, level)
    return plan


REDUCTIONS: dict[str, Callable[[list[int]], list[Level]]] = {"dadda": dadda, "wallace": wallace, "reduced_area": reduced_area}


def _targets(heights: list[int]) -> list[int]:
    """Give how high columns may be after each of the fewest possible levels, the last one 2."""
    targets = [2]
    while targets[-1] < max(heights, default=0):
        targets.append(targets[-1] * 3 // 2)
    return targets[-2::-1]


def after(heights: list[int], level: Level) -> list[int]:
    """Give the heights that a level leaves."""
    carries = [0, *(full + half for full, half in level[:-1])]
    return [height - 2 * full - half + carry for height, (full, half), carry in zip(heights, level, carries, strict=True)]
