"""Prefix graphs: which carries an adder combines, and when, as data.

A graph for n positions is a list of levels, and a level a list of (i, j): position i, which knows the carries of
positions j + 1 to i, takes in position j's. All of a level happen at once. When every position reaches down to 0 the graph
is complete. Sources: J. Sklansky, "Conditional-sum addition logic", 1960; P. Kogge and H. Stone, "A parallel algorithm for
the efficient solution of a general class of recurrence equations", 1973; R. Brent and H. Kung, "A regular layout for
parallel adders", 1982; T. Han and D. Carlson, "Fast area-efficient VLSI adders", 1987.
"""

__all__ = ["Graph", "GRAPHS", "sklansky", "kogge_stone", "brent_kung", "han_carlson"]

Graph = list[list[tuple[int, int]]]


def sklansky(n: int) -> Graph:
    """Halves that are solved side by side: least depth, large fan-out.

    With L = ceil(log2 n): depth L; sum over l < L of the positions whose bit l is set, n/2 * L for n a power of 2.
    """
    return [[(i, (i >> level << level) - 1) for i in range(n) if i >> level & 1] for level in range(_levels(n))]


def kogge_stone(n: int) -> Graph:
    """Every position doubles its reach: least depth, fan-out 2, most wires.

    With L = ceil(log2 n): depth L; n * L - 2**L + 1 nodes.
    """
    return [[(i, i - 2**level) for i in range(2**level, n)] for level in range(_levels(n))]


def brent_kung(n: int) -> Graph:
    """A tree up and a tree down: fewest nodes, at twice the depth.

    With L = floor(log2 n): depth 2 * L - 1 for n a power of 2 above 2, at most 2 * L otherwise; nodes, summed over l <= L,
    floor(n / 2**(l + 1)) up and max(0, floor((n - 2**l) / 2**(l + 1))) down: 2 * n - 2 - L for n a power of 2.
    """
    up = [[(i, i - 2**level) for i in range(2 ** (level + 1) - 1, n, 2 ** (level + 1))] for level in range(_levels(n))]
    down = [[(i, i - 2**level) for i in range(3 * 2**level - 1, n, 2 ** (level + 1))] for level in reversed(range(_levels(n)))]
    return [level for level in up + down if level]


def han_carlson(n: int) -> Graph:
    """Kogge-Stone on the odd positions, the even ones last: half the wires for one more level.

    With L = ceil(log2 floor(n / 2)): depth L + 2 (L + 1 for n = 2); n - 1 nodes and those of `kogge_stone(n // 2)`.
    """
    pairs = [(i, i - 1) for i in range(1, n, 2)]
    odd = [[(2 * i + 1, 2 * j + 1) for i, j in level] for level in kogge_stone(n // 2)]
    rest = [(i, i - 1) for i in range(2, n, 2)]
    return [level for level in [pairs, *odd, rest] if level]


GRAPHS = {graph.__name__: graph for graph in (sklansky, kogge_stone, brent_kung, han_carlson)}


def _levels(n: int) -> int:
    return (n - 1).bit_length() if n else 0
