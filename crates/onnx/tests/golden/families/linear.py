"""Products of matrices and convolutions."""

from case import one, spread


def cases():
    yield from products()
    yield from einsums()
    yield from convolutions()
    yield from transposed()


def products():
    a, at, b, bt = spread(3, 4), spread(4, 3), spread(4, 2), spread(2, 4)
    yield one("Gemm", 13, "", a, b)
    yield one("Gemm", 13, "trans_b", a, bt, spread(2), transB=1)
    yield one("Gemm", 13, "trans_a", at, b, spread(3, 2), transA=1)
    yield one("Gemm", 13, "trans_both", at, bt, spread(3, 1), transA=1, transB=1)
    yield one("Gemm", 13, "alpha_beta", a, b, spread(2), alpha=0.7, beta=1.6)
    yield one("Gemm", 13, "scalar_c", a, b, spread(1), beta=0.5)
    for left, right in (
        ((4,), (4,)), ((4,), (4, 2)), ((3, 4), (4,)), ((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((3, 4), (2, 4, 2)),
        ((2, 3, 4), (2, 4, 2)), ((2, 3, 4), (1, 4, 2)), ((2, 3, 4), (4,)), ((4,), (2, 4, 2)),
        ((2, 2, 3, 2), (2, 2, 2, 3)), ((2, 2, 3, 2), (2, 3)), ((2, 1, 3, 2), (2, 2, 4)), ((2, 2, 3, 2), (1, 2, 2, 1)),
    ):  # fmt: skip
        variant = "x".join(map(str, left)) + "_" + "x".join(map(str, right))
        yield one("MatMul", 13, variant, spread(*left), spread(*right))


def einsums():
    for variant, equation, *shapes in (
        ("matmul", "ij,jk->ik", (3, 4), (4, 2)),
        ("batched", "bij,bjk->bik", (2, 3, 2), (2, 2, 3)),
        ("heads", "bthd,bshd->bhts", (2, 3, 2, 2), (2, 2, 2, 2)),
        ("projection", "btd,dhe->bhte", (2, 2, 3), (3, 2, 2)),
        ("ellipsis", "...ij,jk->...ik", (2, 1, 3, 2), (2, 2)),
        ("ellipsis_both", "...i,...i->...", (2, 3, 2), (2, 3, 2)),
        ("implicit", "ij,jk", (3, 4), (4, 2)),
        ("implicit_order", "ba", (2, 3)),
        ("outer", "bi,bj->bij", (2, 3), (2, 2)),
        ("transpose", "abc->cab", (2, 3, 2)),
        ("sum", "bij->b", (2, 3, 2)),
        ("sum_all", "bi->", (2, 3)),
        ("inner", "i,i->", (4,), (4,)),
        ("product", "ij,ij->ij", (2, 3), (2, 3)),
        ("sum_one_side", "bi,bjk->bk", (2, 3), (2, 2, 2)),
        ("three", "bi,ij,jk->bk", (2, 3), (3, 2), (2, 2)),
        ("spaces", "b i j , b j -> b i", (2, 3, 2), (2, 2)),
    ):
        yield one("Einsum", 13, variant, *(spread(*shape) for shape in shapes), equation=equation)


def convolutions():
    x, w, b = spread(2, 2, 6), spread(3, 2, 3, low=-0.9, high=1.0), spread(3)
    yield one("Conv", 13, "1d", x, w, b)
    for variant, attributes in (
        ("no_bias", {}), ("stride", dict(strides=[2])), ("uneven", dict(pads=[2, 1])), ("dilation", dict(dilations=[2], pads=[2, 2])),
        ("same_upper", dict(auto_pad="SAME_UPPER", strides=[2])), ("same_lower", dict(auto_pad="SAME_LOWER", strides=[2])),
        ("valid", dict(auto_pad="VALID")), ("kernel_shape", dict(kernel_shape=[3], pads=[1, 1])),
    ):  # fmt: skip
        yield one("Conv", 13, f"1d_{variant}", x, w, **attributes)
    yield one("Conv", 13, "1d_groups", spread(2, 4, 5), spread(6, 2, 2), spread(6), group=2)
    x = spread(1, 2, 5, 4)
    w = spread(2, 2, 3, 2, low=-0.9, high=1.0)
    yield one("Conv", 22, "2d", x, w, spread(2))
    for variant, attributes in (
        ("stride", dict(strides=[2, 1], pads=[1, 0, 1, 1])), ("uneven", dict(pads=[0, 1, 2, 0])),
        ("dilation", dict(dilations=[2, 1], pads=[2, 0, 2, 1])),
        ("same_upper", dict(auto_pad="SAME_UPPER", strides=[2, 2])), ("same_lower", dict(auto_pad="SAME_LOWER", strides=[2, 2])),
        ("valid", dict(auto_pad="VALID")),
    ):  # fmt: skip
        yield one("Conv", 13, f"2d_{variant}", x, w, **attributes)
    yield one("Conv", 13, "2d_groups", spread(1, 4, 3, 3), spread(2, 2, 2, 2), spread(2), group=2)
    yield one("Conv", 13, "2d_depthwise", spread(2, 3, 3, 3), spread(3, 1, 3, 3), group=3, pads=[1, 1, 1, 1])


def transposed():
    x, w, b = spread(2, 2, 4), spread(2, 3, 3, low=-0.9, high=1.0), spread(3)
    yield one("ConvTranspose", 13, "1d", x, w, b)
    for variant, attributes in (
        ("stride", dict(strides=[2])), ("pads", dict(strides=[2], pads=[1, 1])), ("uneven", dict(strides=[2], pads=[0, 1])),
        ("output_padding", dict(strides=[2], pads=[1, 1], output_padding=[1])), ("dilation", dict(dilations=[2])),
        ("output_shape", dict(strides=[2], output_shape=[8])), ("same_upper", dict(strides=[2], auto_pad="SAME_UPPER")),
        ("same_lower", dict(strides=[2], auto_pad="SAME_LOWER")),
    ):  # fmt: skip
        yield one("ConvTranspose", 13, f"1d_{variant}", x, w, **attributes)
    yield one("ConvTranspose", 13, "1d_groups", spread(1, 4, 3), spread(4, 2, 2), spread(4), group=2, strides=[2])
    x, w = spread(1, 2, 3, 2), spread(2, 2, 3, 2, low=-0.9, high=1.0)
    yield one("ConvTranspose", 22, "2d", x, w, spread(2))
    for variant, attributes in (
        ("stride", dict(strides=[2, 1])), ("output_padding", dict(strides=[2, 2], pads=[1, 0, 1, 0], output_padding=[1, 0])),
        ("uneven", dict(strides=[2, 2], pads=[0, 1, 1, 0])), ("output_shape", dict(strides=[2, 2], output_shape=[6, 4])),
    ):  # fmt: skip
        yield one("ConvTranspose", 13, f"2d_{variant}", x, w, **attributes)
    yield one("ConvTranspose", 13, "2d_groups", spread(1, 4, 2, 2), spread(4, 1, 2, 2), group=2)
