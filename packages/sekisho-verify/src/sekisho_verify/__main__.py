# SPDX-License-Identifier: Apache-2.0
"""`python -m sekisho_verify` is `sekisho-verify`."""

from __future__ import annotations

import sys

from sekisho_verify.cli import main

sys.exit(main())
