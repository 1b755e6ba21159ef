"""The dispatcher: which instructions are legal, which queues they go to, and what each slab is told of its place."""

from random import Random

import pytest
from amaranth.sim import Simulator

from cleave.config import ArrayConfig, EngineConfig
from cleave.engine.dispatch import Dispatcher
from cleave.engine.isa import FIELDS, INSTRUCTION_BITS, Error, Opcode, encode

SLABS = 5
CONFIG = EngineConfig(ArrayConfig(slabs=SLABS, rows=4, columns=2, stationary_bits=4))
ONE_LANE = EngineConfig(ArrayConfig(slabs=SLABS, rows=4, columns=2))
LOAD, DRAIN, EVERY_SLAB = 1 << 0, 1 << 1, (1 << SLABS) - 1 << 2
PARTNERS = {Opcode.LOAD: EVERY_SLAB | DRAIN, Opcode.MATMUL: LOAD | DRAIN, Opcode.DRAIN: EVERY_SLAB | LOAD}

MOST = {
    "rows": 256 + 1, "moving": 1024, "moving_step": 1024, "stationary": 1024, "stationary_step": 1024,
    "accumulator": 256, "accumulator_step": 256, "shift": 63,
}  # fmt: skip
"""What leaves a bank of the default depth: more is the same to a slab."""


def random_fields(rng: Random, opcode: Opcode) -> dict[str, int]:
    """Draw a legal instruction."""
    fields = {field.name: rng.getrandbits(field.width) for field in FIELDS[opcode]}
    del fields["opcode"]
    fields["wait"] &= PARTNERS[opcode]
    fields["signal"] &= PARTNERS[opcode]
    if opcode is Opcode.MATMUL:
        fields["first"] = rng.randrange(SLABS)
        fields["count"] = rng.randint(1, SLABS - fields["first"])
        fields["rows"], fields["passes"] = rng.randint(1, 2**16 - 1), rng.randint(1, 2**16 - 1)
        fields["pairs"] = rng.randrange(3)
        fields |= {name: rng.randint(1, most + 1) for name, most in MOST.items() if rng.random() < 0.5}
    return fields


class Bench:
    """Feeds instruction words; queues have room when `rooms` says so."""

    def __init__(
        self, words: list[int], rng: Random | None = None, abort: bool = False, config: EngineConfig = CONFIG
    ) -> None:
        self.taken: list[tuple[int, int | str, object]] = []  # number, queue, payload
        self.failures: list[tuple[Error, int]] = []
        self.accepted = 0

        async def bench(ctx) -> None:  # noqa: ANN001
            ports = {"load": dut.load, "drain": dut.drain, **dict(enumerate(dut.slabs[s] for s in range(SLABS)))}
            ctx.set(dut.abort, abort)
            for number, word in enumerate(words):
                ctx.set(dut.i.p.instruction, word)
                ctx.set(dut.i.p.index, 1000 + number)
                ctx.set(dut.i.valid, 1)
                for _ in range(200):
                    rooms = {key: rng is None or rng.random() < 0.6 for key in ports}
                    for key, port in ports.items():
                        ctx.set(port.ready, rooms[key])
                    for key, port in ports.items():
                        if ctx.get(port.valid) and rooms[key]:
                            self.taken.append((number, key, ctx.get(port.p)))
                    if ctx.get(dut.failure.valid):
                        self.failures.append((Error(ctx.get(dut.failure.code)), ctx.get(dut.failure.index)))
                        break
                    ready = ctx.get(dut.i.ready)
                    await ctx.delay(1e-8)
                    if ready:
                        self.accepted += 1
                        break
                else:
                    return

        dut = Dispatcher(config)
        simulator = Simulator(dut)
        simulator.add_testbench(bench)
        simulator.run()


def word(opcode: Opcode, fields: dict[str, int]) -> int:
    return int.from_bytes(encode(opcode, **fields), "little")


def test_each_goes_to_its_queues_once_and_in_order(seed: int) -> None:
    rng = Random(seed)
    program = [(opcode, random_fields(rng, opcode)) for opcode in rng.choices(list(Opcode), k=150)]
    bench = Bench([word(*entry) for entry in program], rng)
    assert bench.accepted == len(program) and not bench.failures
    expected = []
    for number, (opcode, fields) in enumerate(program):
        if opcode is Opcode.MATMUL:
            expected += [(number, s) for s in range(fields["first"], fields["first"] + fields["count"])]
        else:
            expected.append((number, opcode.name.lower()))
    assert [(number, key) for number, key, _ in bench.taken] == expected
    for number, key, payload in bench.taken:
        opcode, fields = program[number]
        assert payload.index == 1000 + number
        if isinstance(key, str):
            assert {name: getattr(payload.instruction, name) for name in fields} == fields
            continue
        place = {"offset": key - fields["first"], "below": fields["first"] + fields["count"] - 1 - key}
        kept = {name: value for name, value in fields.items() if name not in {"first", "count"}}
        kept |= {name: kept[name] & 3 for name in ("wait", "signal")}
        kept |= {name: min(kept[name], most) for name, most in MOST.items()}
        assert {name: getattr(payload, name) for name in kept | place} == kept | place


LEGAL = {
    Opcode.LOAD: {},
    Opcode.MATMUL: {"first": 1, "count": 2, "rows": 1, "passes": 1},
    Opcode.DRAIN: {},
}
BAD = {
    "opcode 0": 0,
    "opcode 4": 4,
    "opcode 255": 255,
    **{f"{o.name}, token {name} {bit}": word(o, LEGAL[o] | {name: 1 << bit})
       for o in Opcode for name in ("wait", "signal") for bit in range(32) if not PARTNERS[o] >> bit & 1},
    **{f"{o.name}, bit {bit}": word(o, LEGAL[o]) | 1 << bit
       for o in Opcode for bit in range(sum(field.width for field in FIELDS[o]), INSTRUCTION_BITS)},
    "no slabs": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"count": 0}),
    "no slabs past the last": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"first": 31, "count": 0}),
    "one slab too many": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"first": 1, "count": SLABS}),
    "first past the last": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"first": SLABS, "count": 1}),
    "past 32": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"first": 31, "count": 2}),
    "no rows": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"rows": 0}),
    "pairs of no format": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"pairs": 3}),
    "no passes": word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"passes": 0}),
}  # fmt: skip


def test_what_is_illegal() -> None:
    fine = word(Opcode.MATMUL, LEGAL[Opcode.MATMUL])
    bench = Bench([entry for bad in BAD.values() for entry in (bad, fine)])
    failed = [index for _, index in bench.failures]
    assert [name for number, name in enumerate(BAD) if 1000 + 2 * number not in failed] == []
    assert bench.failures == [(Error.ILLEGAL_INSTRUCTION, 1000 + 2 * number) for number in range(len(BAD))]
    assert {number for number, _, _ in bench.taken} == {2 * number + 1 for number in range(len(BAD))}


def test_one_lane_has_no_pairs() -> None:
    bench = Bench([word(Opcode.MATMUL, LEGAL[Opcode.MATMUL] | {"pairs": pairs}) for pairs in range(4)], config=ONE_LANE)
    assert bench.failures == [(Error.ILLEGAL_INSTRUCTION, 1000 + pairs) for pairs in (1, 2, 3)]


@pytest.mark.parametrize("bad", [False, True])
def test_abort_dispatches_and_reports_nothing(bad: bool) -> None:
    bench = Bench([0 if bad else word(Opcode.MATMUL, LEGAL[Opcode.MATMUL])], abort=True)
    assert bench.accepted == 0 and not bench.taken and not bench.failures
