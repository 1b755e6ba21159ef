"""What the bytes of stationary tiles mean in columns of two lanes, by tables of their own."""

import numpy as np
from numpy.typing import NDArray


def lanes_of(codes: NDArray[np.int8], pairs: int) -> list[NDArray[np.int64]]:
    """Give the operands of each lane in the bytes of stationary tiles, in units of 1/16 of INT8's, or INT8's if they are no pairs.

    Two INT4 in a byte, or two E2M1 in units of a half.
    """
    if not pairs:
        return [codes.astype(np.int64)]
    table = {1: [*range(8), *range(-8, 0)], 2: [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]}[pairs]
    return [np.array(table)[nibble] for nibble in (codes & 15, codes >> 4 & 15)]
