"""Products of two numbers as bits of a heap."""

from amaranth.hdl import Value

from .board import ZERO, Board
from .heap import Sum

__all__ = ["PRODUCTS", "add_product", "baugh_wooley", "booth", "paired"]

PRODUCTS = ("baugh_wooley", "booth")
"""Kinds of partial products of two numbers; `paired` are those of two products at once."""


def add_product(board: Board, heap: Sum, kind: str, a: Value, b: Value) -> None:
    """Add a * b to the heap, by one of `PRODUCTS`; each factor is signed or not as its shape says."""
    {"baugh_wooley": baugh_wooley, "booth": booth}[kind](board, heap, a, b)


def baugh_wooley(board: Board, heap: Sum, a: Value, b: Value) -> None:
    """Add a * b bit by bit; where just one of two bits is a sign, their product counts as negative.

    p * q AND, of which p + q - 2 are NAND if both are signed (q or p if a or b alone is); depth 1. Source: C. Baugh and
    B. Wooley, "A two's complement parallel array multiplication algorithm", 1973, with the corrections folded into the
    heap's constant: 2**(p - 1) + 2**(q - 1) - 2**(p + q - 1) if both are signed.
    """
    for i in range(len(a)):
        for j in range(len(b)):
            negative = (a.shape().signed and i == len(a) - 1) != (b.shape().signed and j == len(b) - 1)
            product = board.wire(a[i] & b[j], f"product_{i}_{j}")
            (heap.subtract_bit if negative else heap.add_bit)(i + j, product)


def booth(board: Board, heap: Sum, a: Value, b: Value) -> None:
    """Add a * b by b's radix-4 digits -2, -1, 0, 1 and 2, each a row of a, twice a, or their complement plus one.

    D = ceil(q / 2) digits for signed b of q bits, floor(q / 2) + 1 for unsigned b, and E = p + 1 bits a row (p + 2 if a is
    unsigned). Per digit an inverter, an AND and two XOR, and per bit of a row two AND, an OR and an XOR, at most; 6 gates
    deep, and one more for the inverter of a row's sign. Half as many rows as `baugh_wooley`, each bit at four times the gates.
    Source: A. Booth, "A signed binary multiplication technique", 1951; O. MacSorley, "High-speed arithmetic in binary
    computers", 1961.
    """
    multiplicand = _extended(a, len(a) + (1 if a.shape().signed else 2))
    digits = (len(b) + 1) // 2 if b.shape().signed else len(b) // 2 + 1
    multiplier = [ZERO, *_extended(b, 2 * digits)]
    for digit in range(digits):
        below, low, high = multiplier[2 * digit : 2 * digit + 3]
        once = board.wire(low ^ below, f"once_{digit}")
        twice = board.wire((high ^ low) & ~once, f"twice_{digit}")
        doubled = [ZERO, *multiplicand[:-1]]
        row = [
            board.wire(((once & x) | (twice & y)) ^ high, f"row_{digit}_{i}")
            for i, (x, y) in enumerate(zip(multiplicand, doubled, strict=True))
        ]
        heap.add_number(row, 2 * digit, is_signed=True)
        heap.add_bit(2 * digit, high)


def paired(board: Board, heap: Sum, a: tuple[Value, Value], b: tuple[Value, Value], total: Value) -> None:
    """Add a[0] * b[0] + a[1] * b[1], where `total` is b[0] + b[1]: two signed products in the bits of little more than one.

    Bit k of a[0] and bit k of a[1] together choose 0, b[0], b[1] or their sum, with weight 2**k. Where b stands still while a
    changes, the sum is made once: this is distributed arithmetic with b in the place of its table.

    Per bit of a two inverters and three AND, and an AND-OR-INVERT for each of q + 1 bits: p * (q + 1) bits, where the products
    alone have 2 * p * q; depth 6. Source: A. Croisier et al., US patent 3777130, 1974 (expired); S. White, "Applications of
    distributed arithmetic to digital signal processing", 1989.
    """
    p, width = len(a[0]), len(total)
    words = [[*_extended(b[0], width)], [*_extended(b[1], width)], [*total]]
    for k in range(p):
        x, y = a[0][k], a[1][k]
        selects = [board.wire(s, f"select_{k}_{i}") for i, s in enumerate((x & ~y, y & ~x, x & y))]
        for j, bits in enumerate(zip(*words, strict=True)):
            chosen = board.choose_inverted(*zip(selects, bits, strict=True))  # 1 - the chosen bit
            if (k == p - 1) != (j == width - 1):
                heap.add_bit(k + j, chosen)
                heap.add_constant(-1 << k + j)
            else:
                heap.subtract_bit(k + j, chosen)
                heap.add_constant(1 << k + j)


def _extended(number: Value, width: int) -> list[Value]:
    """Give the bits of a number, its sign or zeros repeated."""
    top = number[-1] if number.shape().signed else ZERO
    return [*number, *[top] * width][:width]
