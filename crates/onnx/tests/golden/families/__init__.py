"""The cases, one module a family of operators."""

from . import attention, elementwise, indexing, layers, linear, ml, pooling, recurrent, reductions, resizing, sequences, shapes

FAMILIES = (elementwise, reductions, shapes, indexing, linear, layers, pooling, resizing, recurrent, attention, sequences, ml)
