"""Numpy kernels of the interpreter: convolution, pooling, and elementwise work that numpy is slow at.

They know arrays and nothing of the IR. Results do not depend on threads and are the same on every run.
"""

from mmconvert.ir.kernels.conv import convolve
from mmconvert.ir.kernels.conv_transpose import convolve_transpose
from mmconvert.ir.kernels.elementwise import affine, relu
from mmconvert.ir.kernels.pool import average_pool, lp_pool, max_pool, max_pool_indices

__all__ = [
    "affine",
    "average_pool",
    "convolve",
    "convolve_transpose",
    "lp_pool",
    "max_pool",
    "max_pool_indices",
    "relu",
]
