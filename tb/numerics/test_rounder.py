"""The rounder in hardware: compiled, against gfloat, ml_dtypes and SoftFloat; simulated, in other widths.

Ten million random cases to all formats, and as many to FP32 alone, or as many as CLEAVE_VECTORS says.
"""

import gc
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from cleave.numerics.formats import BF16, FP16, FP32, TARGETS, Format, Kind
from cleave.numerics.rounder import Rounder
from cleave.numerics.rounding import Rounding
from tb.numerics import compiled
from tb.numerics.cases import code_cases, corner_cases, extreme_cases, random_cases, small_cases, with_codes
from tb.numerics.references import DTYPE

VECTORS = int(os.environ.get("CLEAVE_VECTORS", "10000000"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled.build(Rounder(48), tmp_path_factory.mktemp("rounder"))


def simulated(rounder: Rounder, cases: NDArray[np.void]) -> list[int]:
    """Give the codes in Amaranth's own simulator."""
    codes = []

    async def bench(ctx: Any) -> None:
        ctx.set(rounder.enable, 1)
        for case in [*cases, *cases[: rounder.LATENCY - 1]]:
            for name in ("sum", "exponent", "poisoned", "random"):
                ctx.set(getattr(rounder, name), int(case[name]))
            ctx.set(rounder.wanted, {name: int(case[name]) for name in ("target", "mode", "saturate")})
            await ctx.tick()
            codes.append(ctx.get(rounder.code))

    simulator = Simulator(rounder)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return codes[rounder.LATENCY - 1 :]


@pytest.mark.parametrize("targets", [TARGETS, (FP32,)], ids=["all", "FP32"])
def test_random(program: Path, targets: tuple[Format, ...], rng: np.random.Generator) -> None:
    for start in range(0, VECTORS, 1_000_000):
        count = min(1_000_000, VECTORS - start)
        assert compiled.run(program, with_codes(random_cases(rng, count, targets=targets))) == f"0 of {count} wrong\n"


def test_corners(program: Path, rng: np.random.Generator) -> None:
    cases = with_codes(np.concatenate([corner_cases(rng), extreme_cases(rng)]))
    assert compiled.run(program, cases) == f"0 of {len(cases)} wrong\n"


def test_small_exhaustively(program: Path, rng: np.random.Generator) -> None:
    cases = with_codes(small_cases(rng, 10))  # INT8's bits, a guard and a sticky bit
    assert compiled.run(program, cases) == f"0 of {len(cases)} wrong\n"


@pytest.mark.parametrize("target", [BF16, FP16], ids=lambda target: target.name)
def test_every_code(program: Path, target: Format, rng: np.random.Generator) -> None:
    cases = with_codes(code_cases(rng, target))
    assert compiled.run(program, cases) == f"0 of {len(cases)} wrong\n"


def test_against_casts(program: Path, rng: np.random.Generator) -> None:
    """To nearest even, against the casts of numpy, from float64, and of ml_dtypes, which go through float32."""
    cases = np.concatenate([random_cases(rng, 300_000), random_cases(rng, 300_000, 24)])
    cases["mode"], cases["saturate"] = Rounding.NEAREST_EVEN.value, 0
    values = np.ldexp(cases["sum"].astype(float), cases["exponent"])
    values[cases["poisoned"] == 1] = np.nan
    checked = []
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
        for number, target in enumerate(TARGETS):
            if target.kind is Kind.FLOAT:
                direct = DTYPE[target] in (np.float32, np.float16)
                chosen = (cases["target"] == number) & (direct | (narrow == values) | np.isnan(values))
                codes = values[chosen].astype(DTYPE[target])
                found = codes.view(f"u{codes.itemsize}")
                cases["code"][chosen] = found if target.nan_code is not None else np.where(cases["poisoned"][chosen], 0, found)
                checked.append(cases[chosen])
    cases = np.concatenate(checked)
    assert all(len(part) > 20_000 for part in checked)
    assert compiled.run(program, cases) == f"0 of {len(cases)} wrong\n"


def test_against_softfloat(program: Path, rng: np.random.Generator) -> None:
    """Conversions from IEEE double precision in three rounding modes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what SWIG generated
        softfloat = pytest.importorskip("softfloat", reason="softfloat did not compile here, see scripts/setup.sh")
    conversions = {FP32: softfloat.f64_to_f32, FP16: softfloat.f64_to_f16}
    modes = {
        Rounding.NEAREST_EVEN: softfloat.softfloat_round_near_even,
        Rounding.TOWARD_ZERO: softfloat.softfloat_round_minMag,
        Rounding.NEAREST_AWAY: softfloat.softfloat_round_near_maxMag,
    }
    cases = np.concatenate([random_cases(rng, 200_000), corner_cases(rng)])
    cases["saturate"], cases["poisoned"] = 0, 0
    wanted = [TARGETS.index(target) for target in conversions]
    cases = cases[np.isin(cases["target"], wanted) & (cases["mode"] != Rounding.STOCHASTIC.value)]
    doubles = np.ldexp(cases["sum"].astype(float), cases["exponent"]).view(np.uint64)
    double = softfloat.float64_t()
    for i, (bits, number, mode) in enumerate(zip(doubles, cases["target"], cases["mode"], strict=True)):
        softfloat.cvar.softfloat_roundingMode = modes[Rounding(int(mode))]
        double.v = int(bits)
        cases["code"][i] = conversions[TARGETS[number]](double).v
    assert len(cases) > 30_000
    assert compiled.run(program, cases) == f"0 of {len(cases)} wrong\n"


def test_the_program_finds_a_wrong_code(program: Path, rng: np.random.Generator) -> None:
    cases = with_codes(random_cases(rng, 1000))
    cases["code"][[3, 999]] ^= 1
    first, answer = compiled.run(program, cases).splitlines()
    assert answer == "2 of 1000 wrong" and f"sum {cases['sum'][3]} exponent {cases['exponent'][3]} " in first


@pytest.mark.parametrize("bits", [2, 7, 21, 31, 32, 33, 54, 64])
def test_widths(bits: int, rng: np.random.Generator) -> None:
    known = min(bits, 53)  # that float64, in which the reference computes, can hold
    cases = random_cases(rng, 300, known)
    cases["sum"][:2] = [-1 << known - 1, (1 << known - 1) - 1]
    cases["sum"] <<= np.where(rng.random(300) < 0.5, bits - known, 0)
    cases["exponent"][:2] = -known
    assert simulated(Rounder(bits), cases) == with_codes(cases)["code"].tolist()


def test_full_width() -> None:
    """More bits than a float64 has: a tie, but for the lowest bit of 64."""
    top = (0b11 << 61) | (1 << 38)  # 24 bits for FP32, and a guard
    cases = np.zeros(6, compiled.CASE)
    cases["sum"] = [top, top + 1, top - 1, -top, -top - 1, -top + 1]
    cases["target"] = TARGETS.index(FP32)
    assert [code & 1 for code in simulated(Rounder(64), cases)] == [0, 1, 0, 0, 1, 0]


def test_fewer_targets(rng: np.random.Generator) -> None:
    targets = (BF16, FP16)
    cases = random_cases(rng, 1500)
    chosen = cases[np.isin(cases["target"], [TARGETS.index(target) for target in targets])]
    wanted = with_codes(chosen.copy())["code"].tolist()
    chosen["target"] = [targets.index(TARGETS[number]) for number in chosen["target"]]
    assert simulated(Rounder(48, targets), chosen) == wanted


@pytest.mark.parametrize("left_out", Rounding)
def test_fewer_modes(left_out: Rounding, rng: np.random.Generator) -> None:
    """Without a mode the others are as they were, and so is one alone, whichever is asked for."""
    cases = np.concatenate([random_cases(rng, 400), rng.choice(corner_cases(rng), 400)])
    others = with_codes(cases[cases["mode"] != left_out.value])
    modes = tuple(mode for mode in Rounding if mode is not left_out)
    assert simulated(Rounder(48, modes=modes), others) == others["code"].tolist()
    asked = cases["mode"].copy()
    cases["mode"] = left_out.value
    wanted = with_codes(cases)["code"].tolist()
    cases["mode"] = asked
    assert simulated(Rounder(48, modes=(left_out,)), cases) == wanted


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_wrong_width() -> None:
    for bits in (1, 65):
        with pytest.raises(ValueError, match=f"accumulator_bits must be 2 to 64, not {bits}"):
            Rounder(bits).elaborate(None)
    gc.collect()
