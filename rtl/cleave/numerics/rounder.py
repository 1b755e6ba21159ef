"""The one rounding unit of the machine: accumulators to codes of any drain format, in any rounding mode.

`Rounder` is `Normaliser` and `Packer` in a row. Between the two, values of blocks leave it, and return when their scale is known.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..hdl import delay, share
from .formats import TARGETS, Format, Kind, Specials
from .normalise import EXPONENT_BITS, LEADING_BITS, Normaliser, normalised_layout, significand_bits
from .rounding import RANDOM_BITS, Rounding

__all__ = ["MODES", "Packer", "Rounder", "between_layout", "format_layout"]

MODES = tuple(Rounding)
"""All rounding modes."""


def format_layout(targets: tuple[Format, ...] = TARGETS) -> data.StructLayout:
    """Give the layout of what is asked of a rounding: a target's number, a mode's (`Rounding`), and whether to saturate."""
    return data.StructLayout({"target": range(len(targets)), "mode": range(len(Rounding)), "saturate": 1})


def between_layout(targets: tuple[Format, ...] = TARGETS) -> data.StructLayout:
    """Give the layout of what is between normalising and packing: a value, what is asked of it, and its random number."""
    return data.StructLayout({
        "value": normalised_layout(significand_bits(targets)), "wanted": format_layout(targets), "random": RANDOM_BITS,
    })  # fmt: skip


class Packer(wiring.Component):
    """Round a normalised value to a target format, as `rounding.round_to` defines it.

        shift = (bits of the significand above the target's) + max(0, min_exponent - exponent)
        code  = (max(0, exponent - min_exponent) << mantissa_bits) + (significand >> shift) + up

    The shifter keeps RANDOM_BITS bits below the quotient, of which the top one is the guard, and ORs all bits below those into
    sticky. The leading one of a normal number counts in the exponent's field, so that one adder carries out of the mantissa
    into the exponent. Subnormal numbers, integers and elements differ in the constants only.

    Latency `LATENCY` cycles in which `enable` is high (align, shift, add, limit), throughput 1.

    Parameters
    ----------
    targets
        The target formats; a target's place is its number.
    modes
        The rounding modes that may be asked for; with a single one it does not matter which is.

    Members
    -------
    enable : In(1)
        The registers take new values.
    normalised : In(normalised_layout(significand_bits(targets)))
    wanted : In(format_layout(targets))
    random : In(8)
        Uniform, with the value; only stochastic rounding looks at it.
    code : Out(widest target)
        The code in the lowest bits, zeros above.
    """

    LATENCY = 4

    def __init__(self, targets: tuple[Format, ...] = TARGETS, modes: tuple[Rounding, ...] = MODES) -> None:
        self.targets, self.modes = targets, modes
        self.width = significand_bits(targets)
        super().__init__({
            "enable": In(1),
            "normalised": In(normalised_layout(self.width)),
            "wanted": In(format_layout(targets)),
            "random": In(RANDOM_BITS),
            "code": Out(max(target.bits for target in targets)),
        })

    @property
    def shared_name(self) -> str:
        return f"packer_{_names(self.targets, self.modes)}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        above_bits = self.width - RANDOM_BITS
        # A code without its sign, and one bit for what rounding carries out of it.
        total_bits = max(target.bits + (target.kind is Kind.INTEGER) for target in self.targets)
        field_bits = max(target.exponent_bits for target in self.targets)
        # What goes along with a value: as far as to the limit, and as far as to the sum.
        limit_state = {"beyond": 1, "negative": 1, "poisoned": 1, "wanted": format_layout(self.targets)}
        state = data.StructLayout({**limit_state, "field": field_bits, "random": RANDOM_BITS})

        # Align. A distance of the width or more shifts everything out; one with too many bits is all ones instead.
        exponent = self.normalised.exponent
        least, top, origin = (Signal(signed(LEADING_BITS), name=name) for name in ("least", "top", "origin"))
        narrow, amount = Signal(range(above_bits)), Signal(range(above_bits + self.width))
        above, distance = Signal(signed(LEADING_BITS + 1)), Signal(signed(LEADING_BITS + 1))
        with m.Switch(self.wanted.target):
            for number, target in enumerate(self.targets):
                surplus = above_bits - 1 - target.mantissa_bits
                with m.Case(number):
                    m.d.comb += [
                        least.eq(target.min_exponent),
                        top.eq(max(target.min_exponent, target.max_exponent)),
                        origin.eq(target.min_exponent + surplus),
                        narrow.eq(surplus),
                    ]
        too_far = distance[len(amount) :].any()
        m.d.comb += [
            above.eq(exponent - least),
            distance.eq(origin - exponent),
            amount.eq(Mux(above < 0, distance[: len(amount)] | too_far.replicate(len(amount)), narrow)),
        ]

        significand = Signal(self.width, reset_less=True)
        inexact = Signal(reset_less=True)
        right = Signal(len(amount), reset_less=True)
        shifting = Signal(state, reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                significand.eq(self.normalised.significand),
                inexact.eq(self.normalised.sticky),
                right.eq(amount),
                shifting.beyond.eq(exponent > top),
                shifting.negative.eq(self.normalised.negative),
                shifting.poisoned.eq(self.normalised.poisoned),
                shifting.wanted.eq(self.wanted),
                shifting.field.eq(Mux(above < 0, 0, above)),
                shifting.random.eq(self.random),
            ]

        # Shift.
        shifted, lost = _shift_right(m, significand, right)
        fixed = Signal(self.width, reset_less=True)
        sticky = Signal(reset_less=True)
        adding = Signal(state, reset_less=True)
        with m.If(self.enable):
            m.d.sync += [fixed.eq(shifted), sticky.eq(lost | inexact), adding.eq(shifting)]

        # Add.
        remainder, quotient = fixed[:RANDOM_BITS], fixed[RANDOM_BITS:]
        guard, rest = remainder[-1], remainder[:-1].any() | sticky
        up, placed = Signal(), Signal(total_bits)
        ways = {
            Rounding.NEAREST_EVEN: guard & (rest | quotient[0]),
            Rounding.TOWARD_ZERO: Const(0),
            Rounding.NEAREST_AWAY: guard,
            Rounding.STOCHASTIC: (remainder + adding.random)[RANDOM_BITS],
        }
        with m.Switch(adding.wanted.mode):
            for mode in self.modes[1:]:
                with m.Case(mode.value):
                    m.d.comb += up.eq(ways[mode])
            with m.Default():
                m.d.comb += up.eq(ways[self.modes[0]])
        with m.Switch(adding.wanted.target):
            for number, target in enumerate(self.targets):
                if target.kind is Kind.FLOAT:
                    with m.Case(number):
                        m.d.comb += placed.eq(adding.field[: target.exponent_bits] << target.mantissa_bits)
        total = Signal(total_bits, reset_less=True)
        limiting = Signal(data.StructLayout(limit_state), reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                total.eq((Cat(Const(1, 1), placed) + Cat(up, quotient))[1:]),  # one adder, with `up` as its carry in
                *(limiting[name].eq(adding[name]) for name in limit_state),
            ]

        # Limit.
        code = Signal(len(self.code), reset_less=True)
        toward_zero: Value = limiting.wanted.mode == Rounding.TOWARD_ZERO.value
        if len(self.modes) == 1 or Rounding.TOWARD_ZERO not in self.modes:
            toward_zero = Const(self.modes[0] is Rounding.TOWARD_ZERO)
        with m.If(self.enable), m.Switch(limiting.wanted.target):
            for number, target in enumerate(self.targets):
                with m.Case(number):
                    m.d.sync += code.eq(_limited(target, total, limiting, toward_zero))
        m.d.comb += self.code.eq(code)
        return m


class Rounder(wiring.Component):
    """Round sum * 2**exponent to a target format, as `rounding.round_to` defines it.

    Latency `LATENCY` cycles in which `enable` is high, throughput 1. Half-way, after `Normaliser.LATENCY` cycles, a value may be
    taken out, and another one put in.

    Parameters
    ----------
    accumulator_bits
        Width of the sum, 2 to 64.
    targets, modes
        Those of `Packer`.

    Members
    -------
    enable : In(1)
        The registers take new values.
    sum : In(signed(accumulator_bits))
    exponent : In(signed(10))
    poisoned : In(1)
        The value is NaN.
    wanted : In(format_layout(targets))
    random : In(8)
        Uniform; only stochastic rounding looks at it.
    code : Out(widest target)
        The code in the lowest bits, zeros above. All inputs of a value are given together, `LATENCY` cycles before.
    between : Out(between_layout(targets))
        The value that is half-way.
    replace : In(1)
        `replacement` goes on in its place.
    replacement : In(between_layout(targets))
        For an element in a block, the exponent is less by that of the block's scale and by the step of the operand's elements.
    """

    LATENCY = Normaliser.LATENCY + Packer.LATENCY

    def __init__(
        self, accumulator_bits: int, targets: tuple[Format, ...] = TARGETS, modes: tuple[Rounding, ...] = MODES
    ) -> None:
        self.accumulator_bits, self.targets, self.modes = accumulator_bits, targets, modes
        super().__init__({
            "enable": In(1),
            "sum": In(signed(accumulator_bits)),
            "exponent": In(signed(EXPONENT_BITS)),
            "poisoned": In(1),
            "wanted": In(format_layout(targets)),
            "random": In(RANDOM_BITS),
            "code": Out(max(target.bits for target in targets)),
            "between": Out(between_layout(targets)),
            "replace": In(1),
            "replacement": In(between_layout(targets)),
        })

    @property
    def shared_name(self) -> str:
        return f"rounder_{self.accumulator_bits}_{_names(self.targets, self.modes)}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        normaliser = share(platform, Normaliser(self.accumulator_bits, significand_bits(self.targets)))
        packer = share(platform, Packer(self.targets, self.modes))
        m.submodules.normaliser, m.submodules.packer = normaliser, packer
        asked = delay(m, "asked", Cat(self.wanted, self.random), Normaliser.LATENCY, self.enable)
        m.d.comb += [
            normaliser.enable.eq(self.enable),
            normaliser.sum.eq(self.sum),
            normaliser.exponent.eq(self.exponent),
            normaliser.poisoned.eq(self.poisoned),
            self.between.value.eq(normaliser.normalised),
            Cat(self.between.wanted, self.between.random).eq(asked),
            packer.enable.eq(self.enable),
            Cat(packer.normalised, packer.wanted, packer.random).eq(Mux(self.replace, self.replacement, self.between)),
            self.code.eq(packer.code),
        ]
        return m


def _names(targets: tuple[Format, ...], modes: tuple[Rounding, ...]) -> str:
    return "_".join(item.name.lower() for item in (*targets, *(modes if modes != MODES else ())))


def _shift_right(m: Module, value: Value, amount: Value) -> tuple[Value, Value]:
    """Give `value >> amount`, and whether a one was shifted out."""
    sticky: Value = Const(0, 1)
    for level in reversed(range(len(amount))):
        step = 1 << level
        after, lost = Signal(len(value), name=f"right_{step}"), Signal(name=f"lost_{step}")
        m.d.comb += [
            after.eq(Mux(amount[level], value >> step, value)),
            lost.eq(sticky | (amount[level] & value[:step].any())),
        ]
        value, sticky = after, lost
    return value, sticky


def _limited(target: Format, total: Value, state: data.View, toward_zero: Value) -> Value:
    """Give the code of a sum: limited, with its sign."""
    is_integer = target.kind is Kind.INTEGER
    largest = target.largest_code + (state.negative if is_integer else 0)
    limit: Value | int = largest
    if target.specials is not Specials.NONE:
        to_largest = state.wanted.saturate | toward_zero
        limit = Mux(to_largest, target.largest_code, target.largest_code + 1)
    magnitude = Mux(state.beyond | (total > largest), limit, total)[: target.bits - (not is_integer)]
    code = Mux(state.negative, -magnitude, magnitude)[: target.bits] if is_integer else Cat(magnitude, state.negative)
    return Mux(state.poisoned, target.nan_code or 0, code)
