"""AXI4 and AXI4-Lite signatures, seen from the master, with the standard signal names."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

OKAY = 0
SLVERR = 2
BURST_INCR = 1
CACHE_NORMAL = 0b0011
"""Normal, non-cacheable, bufferable memory."""

ID_LOAD = 0
ID_FETCH = 1
"""Read IDs: operand loads and instruction fetches may be answered in any order between them."""


class Axi4ReadAddress(wiring.Signature):
    """AR channel; AW is the same."""

    def __init__(self, address_width: int) -> None:
        super().__init__({
            "valid": Out(1), "ready": In(1), "id": Out(1), "addr": Out(address_width), "len": Out(8), "size": Out(3),
            "burst": Out(2), "cache": Out(4), "prot": Out(3),
        })


class Axi4ReadData(wiring.Signature):
    """R channel, seen from the master."""

    def __init__(self, data_width: int) -> None:
        super().__init__({
            "valid": In(1), "ready": Out(1), "id": In(1), "data": In(data_width), "resp": In(2), "last": In(1),
        })


class Axi4WriteData(wiring.Signature):
    """W channel, seen from the master."""

    def __init__(self, data_width: int) -> None:
        super().__init__({
            "valid": Out(1), "ready": In(1), "data": Out(data_width), "strb": Out(data_width // 8), "last": Out(1),
        })


class Axi4WriteResponse(wiring.Signature):
    """B channel, seen from the master."""

    def __init__(self) -> None:
        super().__init__({"valid": In(1), "ready": Out(1), "id": In(1), "resp": In(2)})


class Axi4Read(wiring.Signature):
    """The two read channels of an AXI4 master."""

    def __init__(self, address_width: int, data_width: int) -> None:
        super().__init__({"ar": Out(Axi4ReadAddress(address_width)), "r": Out(Axi4ReadData(data_width))})


class Axi4Write(wiring.Signature):
    """The three write channels of an AXI4 master."""

    def __init__(self, address_width: int, data_width: int) -> None:
        super().__init__({
            "aw": Out(Axi4ReadAddress(address_width)), "w": Out(Axi4WriteData(data_width)), "b": Out(Axi4WriteResponse()),
        })


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32-bit data, seen from the master."""

    def __init__(self, address_width: int) -> None:
        address = wiring.Signature({"valid": Out(1), "ready": In(1), "addr": Out(address_width), "prot": Out(3)})
        super().__init__({
            "aw": Out(address),
            "w": Out(wiring.Signature({"valid": Out(1), "ready": In(1), "data": Out(32), "strb": Out(4)})),
            "b": Out(wiring.Signature({"valid": In(1), "ready": Out(1), "resp": In(2)})),
            "ar": Out(address),
            "r": Out(wiring.Signature({"valid": In(1), "ready": Out(1), "data": In(32), "resp": In(2)})),
        })
