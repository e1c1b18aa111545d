"""Resize: every mode, coordinate formula and rounding that ONNX allows, growing and shrinking."""

from __future__ import annotations

from itertools import product
from typing import Any

from mmconvert.ir.ops import Resize
from mmconvert.ir.ops.sampling import Coordinates
from tests.cases.case import Case, data

COORDINATES: tuple[Coordinates, ...] = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
)
SIZES = {"up": (8, 10), "down": (2, 4), "mixed": (7, 2), "one": (1, 1), "odd_up": (7, 11)}
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
NCHW, NHWC = ("f32[1,2,4,5]", (2, 3)), ("f32[1,4,5,2]", (1, 2))


def row(name: str, where: tuple[str, tuple[int, ...]] = NCHW, **fields: Any) -> Case:
    """A Resize of two spatial axes, 4 by 5."""
    spec, axes = where
    return Case(f"Resize/{name}", Resize(axes=axes, **fields), (data(spec),))


NEAREST = [
    row(f"nearest_{c}_{n}_{name}", mode="nearest", coordinates=c, nearest=n, sizes=sizes)
    for c, n, (name, sizes) in product(COORDINATES, ROUNDINGS, SIZES.items())
] + [
    row(f"nearest_nhwc_{c}_{name}", NHWC, mode="nearest", coordinates=c, nearest="floor", sizes=sizes)
    for c, (name, sizes) in product(("asymmetric", "half_pixel", "align_corners"), SIZES.items())
]
TENSORFLOW = [
    row(
        f"nearest_tensorflow_{name}",
        NHWC,
        mode="nearest",
        coordinates="tf_half_pixel_for_nn",
        nearest="floor",
        sizes=s,
    )
    for name, s in SIZES.items()
]
LINEAR = [
    row(f"linear_{c}_{name}_{layout}", where, mode="linear", coordinates=c, sizes=sizes)
    for c, (name, sizes), (layout, where) in product(
        COORDINATES, SIZES.items(), (("nchw", NCHW), ("nhwc", NHWC))
    )
]
FIXED_POINT = [
    row(f"fixed_point_{c}_{name}", NHWC, mode="linear", coordinates=c, sizes=sizes, position_bits=10)
    for c, (name, sizes) in product(("half_pixel", "align_corners", "asymmetric"), SIZES.items())
]
CUBIC = [
    row(
        f"cubic_{c}_{name}_{coeff}{'_exclude' if exclude else ''}",
        mode="cubic",
        coordinates=c,
        sizes=sizes,
        cubic_coeff=coeff,
        exclude_outside=exclude,
    )
    for c, (name, sizes), (coeff, exclude) in product(
        COORDINATES, SIZES.items(), ((-0.75, False), (-0.5, True))
    )
]
ANTIALIAS = [
    row(
        f"{mode}_antialias_{c}_{name}{'_exclude' if exclude else ''}",
        mode=mode,
        coordinates=c,
        sizes=sizes,
        antialias=True,
        exclude_outside=exclude,
        cubic_coeff=-0.5 if exclude else -0.75,
    )
    for mode, c, (name, sizes), exclude in product(
        ("linear", "cubic"), ("half_pixel", "align_corners"), SIZES.items(), (False, True)
    )
]
SCALED = [
    row(f"{mode}_scaled_{c}_{name}", mode=mode, coordinates=c, sizes=sizes, scales=scales)
    for mode, c, (name, sizes, scales) in product(
        ("nearest", "linear", "cubic"),
        ("half_pixel", "half_pixel_symmetric", "asymmetric"),
        (("double", (8, 10), (2.0, 2.0)), ("part", (5, 6), (1.3, 1.25)), ("shrink", (2, 3), (0.6, 0.7))),
    )
]
CROPPED = [
    row(
        f"{mode}_crop_{name}",
        mode=mode,
        coordinates="tf_crop_and_resize",
        sizes=sizes,
        roi=roi,
        extrapolation_value=9.5,
    )
    for mode, (name, sizes, roi) in product(
        ("nearest", "linear", "cubic"),
        (
            ("inside", (3, 3), ((0.25, 0.75), (0.125, 0.875))),
            ("outside", (5, 7), ((-0.5, 0.75), (0.25, 1.5))),
            ("flipped", (3, 4), ((0.875, 0.125), (0.25, 0.75))),
            ("one", (1, 1), ((0.25, 0.5), (0.5, 1.0))),
        ),
    )
]
RANKS = [
    Case(
        "Resize/1d_linear",
        Resize(axes=(2,), sizes=(9,), mode="linear", coordinates="half_pixel"),
        (data("f32[1,2,4]"),),
    ),
    Case(
        "Resize/3d_linear",
        Resize(axes=(2, 3, 4), sizes=(6, 2, 5), mode="linear", coordinates="half_pixel"),
        (data("f32[1,2,3,4,3]"),),
    ),
    Case(
        "Resize/3d_nearest",
        Resize(axes=(2, 3, 4), sizes=(6, 2, 5), mode="nearest", coordinates="asymmetric", nearest="floor"),
        (data("f32[1,2,3,4,3]"),),
    ),
    Case(
        "Resize/nearest_i32",
        Resize(axes=(2, 3), sizes=(4, 6), mode="nearest", coordinates="asymmetric", nearest="floor"),
        (data("i32[1,2,2,3]", -9, 9),),
    ),
    Case(
        "Resize/same_size",
        Resize(axes=(2, 3), sizes=(4, 5), mode="linear", coordinates="half_pixel"),
        (data(NCHW[0]),),
    ),
    Case(
        "Resize/one_axis",
        Resize(axes=(3,), sizes=(8,), mode="linear", coordinates="align_corners"),
        (data(NCHW[0]),),
    ),
]
CASES = NEAREST + TENSORFLOW + LINEAR + FIXED_POINT + CUBIC + ANTIALIAS + SCALED + CROPPED + RANKS
