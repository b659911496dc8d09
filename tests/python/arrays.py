# SPDX-License-Identifier: BSD-3-Clause
"""What the program protects: an array of each type, another one on each rank. By the name of its type in numpy."""
import numpy as np

NAMES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
         "longdouble", "complex64", "complex128"]


def make(name, rank):
    values = np.random.Generator(np.random.PCG64(rank)).integers(0, 2 if name == "bool" else 128, 5 + rank)
    values = values.astype(name)
    if np.dtype(name).kind in "fc":
        values /= np.dtype(name).type(3)
    if np.dtype(name).kind == "c":
        values *= np.dtype(name).type(1 + 2j)
    return values
