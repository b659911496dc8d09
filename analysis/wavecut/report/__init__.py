# SPDX-License-Identifier: BSD-3-Clause
"""The page that wavecut-report writes."""
