"""What hardware descriptions have in common: delay lines, and components that are emitted once, however often they are used."""

from typing import TYPE_CHECKING, Protocol, TypeVar

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Signature

if TYPE_CHECKING:
    from amaranth.hdl import Elaboratable


class Shareable(Protocol):
    """A component that may be shared: `shared_name` names its class and, within one design, all its parameters."""

    @property
    def shared_name(self) -> str:
        """Name of the module."""
        ...

    @property
    def signature(self) -> Signature:
        """Ports of the module."""
        ...

    def elaborate(self, platform: object) -> "Elaboratable":
        """Describe the module."""
        ...


ComponentT = TypeVar("ComponentT", bound=Shareable)


def share(platform: object, component: ComponentT) -> ComponentT:
    """Give what a parent adds to its submodules in place of `component`.

    That is the component itself, unless the platform is an export (`cleave.export`), which elaborates one component per
    `shared_name` and gives an instance of that module. Either has the component's attributes. A `ResetInserter` around the
    parent does not reach into the instance, so what is below one must be shared only if it needs no reset.
    """
    substitute = getattr(platform, "share", None)
    return component if substitute is None else substitute(component)


def delay(m: Module, name: str, value: Value, cycles: int, enable: Value | None = None, *, reset_less: bool = True) -> Value:
    """Give `value` as it was `cycles` cycles ago, of which only those count in which `enable` is high."""
    for cycle in range(cycles):
        later = Signal.like(value, name=f"{name}_{cycle + 1}", reset_less=reset_less)
        with m.If(1 if enable is None else enable):
            m.d.sync += later.eq(value)
        value = later
    return value


def stages(m: Module, name: str, valid: Value, cycles: int, enable: Value) -> Signal:
    """Say of each of `cycles` stages of a pipeline, which moves on while `enable` is high, whether something is in it."""
    line = Signal(cycles, name=name)
    with m.If(enable):
        m.d.sync += line.eq(Cat(valid, line))
    return line
