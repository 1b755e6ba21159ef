"""What other people's libraries say of each format: ml_dtypes and numpy for values and casts, gfloat for everything else."""

from fractions import Fraction
from typing import Any

import gfloat
import ml_dtypes
import numpy as np
from gfloat import formats as gf
from numpy.typing import ArrayLike, NDArray

from cleave.numerics.formats import BF16, E2M1, E2M3, E4M3, E5M2, E8M0, FP16, FP32, INT4, INT8, Format

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
