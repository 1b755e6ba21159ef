"""What other people's libraries say: ml_dtypes and numpy of values and casts, gfloat of everything else."""

from fractions import Fraction
from typing import Any

import gfloat
import ml_dtypes
import numpy as np
from gfloat import RoundMode
from gfloat import formats as gf
from numpy.typing import ArrayLike, NDArray

from cleave.numerics.formats import BF16, E2M1, E2M3, E4M3, E5M2, E8M0, FP16, FP32, INT4, INT8, Format, Kind, Specials
from cleave.numerics.rounding import RANDOM_BITS, Rounding

_INT4 = gfloat.FormatInfo(
    "int4", k=4, precision=4, bias=0, has_nz=False, is_signed=True, domain=gfloat.Domain.Finite, num_high_nans=0,
    has_subnormals=True, is_twos_complement=True,
)  # fmt: skip

GFLOAT = {
    INT8: gf.format_info_ocp_int8, INT4: _INT4, E2M1: gf.format_info_ocp_e2m1, E2M3: gf.format_info_ocp_e2m3,
    FP32: gf.format_info_binary32, BF16: gf.format_info_bfloat16, FP16: gf.format_info_binary16,
    E4M3: gf.format_info_ocp_e4m3, E5M2: gf.format_info_ocp_e5m2, E8M0: gf.format_info_ocp_e8m0,
}  # fmt: skip
"""gfloat's name for each format. Its integers are fractions: the same codes, times 2**-6 or 2**-2."""

DTYPE: dict[Format, Any] = {
    INT8: np.int8, INT4: ml_dtypes.int4, E2M1: ml_dtypes.float4_e2m1fn, E2M3: ml_dtypes.float6_e2m3fn,
    FP32: np.float32, BF16: ml_dtypes.bfloat16, FP16: np.float16,
    E4M3: ml_dtypes.float8_e4m3fn, E5M2: ml_dtypes.float8_e5m2, E8M0: ml_dtypes.float8_e8m0fnu,
}  # fmt: skip
"""The dtype of each format, one code per item."""

BLOCKS = {"mxint8": gf.format_info_mxint8, "mxfp6": gf.format_info_mxfp6_e2m3, "mxfp4": gf.format_info_mxfp4_e2m1}
"""gfloat's name for each block format."""


MODES = {
    Rounding.NEAREST_EVEN: RoundMode.TiesToEven, Rounding.TOWARD_ZERO: RoundMode.TowardZero,
    Rounding.NEAREST_AWAY: RoundMode.TiesToAway, Rounding.STOCHASTIC: RoundMode.StochasticFastest,
}  # fmt: skip
"""gfloat's name for each rounding mode."""


def rounded(
    target: Format, values: NDArray[np.float64], mode: Rounding, random: NDArray[np.integer], *, saturate: bool = False
) -> NDArray[np.uint32]:
    """Give the codes of rounded values after gfloat; those of NaNs after ml_dtypes, and 0 where there is none."""
    unit = 2.0 ** (2 - target.bits) if target.kind is Kind.INTEGER else 1.0
    saturate |= target.specials is Specials.NONE
    numbers = np.where(np.isnan(values), 0, values) * unit
    found = gfloat.round_ndarray(GFLOAT[target], numbers, MODES[mode], saturate, random, RANDOM_BITS)
    codes = gfloat.encode_ndarray(GFLOAT[target], np.where(np.isnan(found), 0, found)).astype(np.uint32)
    if target.specials is not Specials.NONE:
        word = f"u{np.dtype(DTYPE[target]).itemsize}"
        with np.errstate(invalid="ignore"):
            overflow = np.copysign(np.inf, values).astype(np.float32).astype(DTYPE[target]).view(word)
            codes = np.where(np.isnan(found), overflow, codes)
            return np.where(np.isnan(values), np.array(np.nan, np.float32).astype(DTYPE[target]).view(word), codes)
    return np.where(np.isnan(values), 0, codes)


def decode(target: Format, codes: ArrayLike) -> NDArray[np.float64]:
    """Give the values of codes, after ml_dtypes and numpy."""
    word = np.dtype(f"u{np.dtype(DTYPE[target]).itemsize}")
    return np.asarray(codes).astype(word).view(DTYPE[target]).astype(np.float64)


def exact(values: ArrayLike) -> NDArray[np.object_]:
    """Give floats as fractions."""
    return np.vectorize(lambda value: Fraction(float(value)), otypes=[object])(values)


def powers(exponents: ArrayLike) -> NDArray[np.object_]:
    """Give powers of two as fractions."""
    return np.vectorize(lambda exponent: Fraction(2) ** int(exponent), otypes=[object])(exponents)
