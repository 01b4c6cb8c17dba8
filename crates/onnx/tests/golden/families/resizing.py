"""Resize, nearest and linear."""

import numpy as np
from case import Const, ints, one, spread

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def scales(*values):
    return Const(np.array(values, np.float32))


def cases():
    x = spread(1, 1, 3, 4)
    up, down = (1, 1, 2, 1.5), (1, 1, 0.7, 0.5)
    for coordinates in (*COORDINATES, "half_pixel_symmetric"):
        opset = 19 if coordinates == "half_pixel_symmetric" else 13
        mode = dict(coordinate_transformation_mode=coordinates)
        for nearest in NEAREST:
            yield one("Resize", opset, f"nearest_{coordinates}_{nearest}", x, None, scales(*up), nearest_mode=nearest, **mode)
        yield one("Resize", opset, f"nearest_{coordinates}_down", x, None, scales(*down), **mode)
        yield one("Resize", opset, f"linear_{coordinates}", x, None, scales(*up), mode="linear", **mode)
        yield one("Resize", opset, f"linear_{coordinates}_down", x, None, scales(*down), mode="linear", **mode)
    for mode in ("linear", "nearest"):
        yield one("Resize", 13, f"{mode}_sizes", x, None, None, ints(1, 1, 5, 7), mode=mode)
    yield one("Resize", 13, "default", x, None, scales(1, 1, 2, 2))
    yield one("Resize", 13, "linear_one", x, None, None, ints(1, 1, 1, 1), mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
    yield one("Resize", 13, "linear_1d", spread(2, 2, 4), None, scales(1, 1, 2.5), mode="linear")
    yield one("Resize", 13, "nearest_1d", spread(2, 2, 4), None, scales(1, 1, 2), coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    yield one("Resize", 18, "axes", x, None, scales(2, 1.5), axes=[2, 3])
    yield one("Resize", 18, "axes_sizes", x, None, None, ints(6, 6), axes=[2, 3], mode="linear")
    for policy in ("not_larger", "not_smaller"):
        yield one("Resize", 18, policy, x, None, None, ints(7, 6), axes=[2, 3], keep_aspect_ratio_policy=policy)
