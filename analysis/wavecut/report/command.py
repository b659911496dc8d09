# SPDX-License-Identifier: BSD-3-Clause
"""The command wavecut-report."""
import argparse
import os
import sys

import numpy as np

from ..errors import Error
from .markup import visible
from .page import Source, build
from .units import several

_CODES = "Exit status: 0 well, 1 a snapshot is damaged or inconsistent (the page shows it), 2 wrong usage, 3 not found, 4 reading or writing failed."


def _arguments(arguments):
    parser = argparse.ArgumentParser(prog="wavecut-report", description="Writes a page of HTML about the snapshots of a directory, or about one snapshot. "
                                     "The page is one file that needs no network.", epilog=_CODES)
    parser.add_argument("path", metavar="DIR|FILE", nargs="?", default=os.environ.get("WAVECUT_DIR", "wavecut-ckpt"),
                        help="a directory of snapshots or a snapshot (default: WAVECUT_DIR, else wavecut-ckpt)")
    parser.add_argument("-o", "--output", metavar="FILE", default="wavecut-report.html", help="the page (default: %(default)s)")
    return parser.parse_args(arguments)


def _say(text):
    print(f"wavecut-report: {visible(str(text))}", file=sys.stderr)


def main(arguments=None):
    """Runs the command; the value is its exit status."""
    options = _arguments(arguments)
    try:
        with np.errstate(all="ignore"):  # arrays may hold anything
            source = Source(options.path)
            page = build(source)
    except Error as error:
        _say(error)
        return error.status
    except KeyboardInterrupt:
        return 130
    try:
        with open(options.output, "w", encoding="utf-8", errors="replace") as file:
            file.write(page)
    except OSError as error:
        _say(f"{options.output}: {error.strerror}")
        return 4
    bad = source.bad()
    print(f"{options.output}: {several(len(source.summaries), 'snapshot')}, {len(page.encode(errors='replace'))} bytes")
    if bad:
        _say(f"{len(bad)} of {several(len(source.summaries), 'snapshot')} can't be used: {bad[0].error or bad[0].violations[0].text}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
