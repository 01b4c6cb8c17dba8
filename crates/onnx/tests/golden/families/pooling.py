"""Pooling."""

from case import one, spread


def cases():
    x1, x2 = spread(2, 1, 7), spread(1, 1, 5, 6)
    for op in ("AveragePool", "MaxPool"):
        for variant, x, attributes in (
            ("1d", x1, dict(kernel_shape=[3])),
            ("1d_stride", x1, dict(kernel_shape=[3], strides=[2], pads=[1, 1])),
            ("1d_ceil", x1, dict(kernel_shape=[2], strides=[2], ceil_mode=1)),
            ("1d_uneven", x1, dict(kernel_shape=[3], pads=[0, 2])),
            ("2d", x2, dict(kernel_shape=[2, 3])),
            ("2d_stride", x2, dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 1, 1, 1])),
            ("2d_ceil", x2, dict(kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)),
            ("2d_ceil_pads", x2, dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)),
            ("2d_uneven", x2, dict(kernel_shape=[2, 2], pads=[1, 0, 0, 1])),
            ("2d_same_upper", x2, dict(kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
            ("2d_same_lower", x2, dict(kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")),
            ("2d_valid", x2, dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")),
        ):
            yield one(op, 13, variant, x, **attributes)
        yield one(op, 19, "1d_dilation", x1, kernel_shape=[2], dilations=[3])
        yield one(op, 19, "2d_dilation", x2, kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 1, 1, 1])
        yield one(op, 22, "2d_ceil", x2, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    for variant, x, attributes in (
        ("1d", x1, dict(kernel_shape=[3], pads=[1, 1])),
        ("1d_uneven", x1, dict(kernel_shape=[3], pads=[0, 2])),
        ("2d", x2, dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
        ("2d_same", x2, dict(kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
    ):
        yield one("AveragePool", 13, f"{variant}_include_pad", x, count_include_pad=1, **attributes)
    yield one("AveragePool", 19, "1d_ceil_include_pad", x1, kernel_shape=[3], strides=[3], pads=[1, 1], ceil_mode=1, count_include_pad=1)
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        yield one(op, 13, "1d", spread(2, 3, 4))
        yield one(op, 13, "2d", spread(2, 3, 2, 3))
