# SPDX-License-Identifier: BSD-3-Clause
"""Numbers as a picture in a colour map of matplotlib. With a palette: a third of the size of what matplotlib writes."""
import base64
import struct
import zlib

import matplotlib
import numpy as np

SHADES = 255  # and one that is transparent


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, low, high, colours):
    """A data: address of a PNG of a 2-D array, from low to high. What is not finite is transparent."""
    share = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    finite = np.isfinite(values)
    indices = np.where(finite, np.clip(np.where(finite, share, 0) * SHADES, 0, SHADES - 1), SHADES).astype(np.uint8)
    rows = np.diff(indices, axis=0, prepend=np.zeros((1, indices.shape[1]), np.uint8))  # each against the one above: filter 2 of PNG
    data = np.concatenate([np.full((len(rows), 1), 2, np.uint8), rows], axis=1).tobytes()
    palette = matplotlib.colormaps[colours](np.linspace(0, 1, SHADES), bytes=True)[:, :3]
    file = (b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], 8, 3, 0, 0, 0))
            + _chunk(b"PLTE", palette.tobytes() + b"\0\0\0") + _chunk(b"tRNS", b"\xff" * SHADES + b"\0")
            + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(file).decode("ascii")
