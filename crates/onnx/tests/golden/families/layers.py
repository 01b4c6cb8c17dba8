"""Normalisation by layer, batch, instance and group."""

from case import Const, one, spread

POSITIVE = dict(low=0.5, high=1.7)


def cases():
    for variant, opset, shape, attributes in (
        ("rank2", 13, (4, 3), {}), ("rank3", 14, (2, 3, 2), {}), ("rank4", 15, (2, 3, 2, 2), {}), ("epsilon", 15, (4, 3), dict(epsilon=0.1)),
    ):  # fmt: skip
        statistics = Const(spread(3)), Const(spread(3, **POSITIVE))
        yield one("BatchNormalization", opset, variant, spread(*shape), spread(3, **POSITIVE), spread(3), *statistics, **attributes)
    x = spread(2, 3, 4)
    yield one("LayerNormalization", 17, "", x, spread(4, **POSITIVE), spread(4))
    yield one("LayerNormalization", 17, "no_bias", x, spread(4, **POSITIVE))
    yield one("LayerNormalization", 17, "axis1", x, spread(3, 4, **POSITIVE), spread(3, 4), axis=1)
    yield one("LayerNormalization", 17, "axis_negative", x, spread(3, 4, **POSITIVE), spread(3, 4), axis=-2, epsilon=0.05)
    yield one("LayerNormalization", 17, "axis2", x, spread(4, **POSITIVE), spread(4), axis=2)
    for variant, shape in (("1d", (2, 3, 4)), ("2d", (2, 3, 2, 3))):
        yield one("InstanceNormalization", 13, variant, spread(*shape), spread(3, **POSITIVE), spread(3))
    yield one("InstanceNormalization", 22, "epsilon", spread(2, 3, 4), spread(3, **POSITIVE), spread(3), epsilon=0.1)
    x = spread(2, 4, 3)
    yield one("GroupNormalization", 18, "", x, spread(2, **POSITIVE), spread(2), num_groups=2)
    yield one("GroupNormalization", 21, "", x, spread(4, **POSITIVE), spread(4), num_groups=2)
    yield one("GroupNormalization", 21, "2d", spread(1, 4, 2, 3), spread(4, **POSITIVE), spread(4), num_groups=2, epsilon=0.1)
    x = spread(2, 3, 4)
    yield one("RMSNormalization", 23, "", x, spread(4, **POSITIVE))
    yield one("RMSNormalization", 23, "axis1", x, spread(3, 4, **POSITIVE), axis=1, epsilon=0.1)
    yield one("RMSNormalization", 23, "axis_negative", x, spread(3, 4, **POSITIVE), axis=-2)
