# SPDX-License-Identifier: Apache-2.0
"""Readers of a firm's own records: orders and reference rates, row by row."""
