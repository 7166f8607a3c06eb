# SPDX-License-Identifier: Apache-2.0
"""HTTP to an authority: requests, and its stream of events."""
