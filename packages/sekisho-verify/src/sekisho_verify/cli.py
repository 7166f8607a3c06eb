# SPDX-License-Identifier: Apache-2.0
"""`sekisho-verify DIR --root CA.pem [--approvers F] [--checkpoint F] [--json]`.

Exit status: 0 everything holds, 1 something does not (it is named), 2 the command was not usable.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sekisho_verify import certificates
from sekisho_verify.bundle import Verification
from sekisho_verify.findings import VerificationFailed, shown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sekisho-verify",
        description="Verify an evidence bundle without trusting the one who made it.",
        epilog="Exit status: 0 holds, 1 does not hold, 2 wrong use.",
    )
    parser.add_argument("bundle", metavar="DIR", type=Path, help="folder of the bundle")
    parser.add_argument(
        "--root", metavar="CA.pem", type=Path, required=True, help="root certificate you trust"
    )
    parser.add_argument(
        "--approvers", metavar="F", type=Path, help="approvers' public keys (PEM), or a roster"
    )
    parser.add_argument(
        "--checkpoint", metavar="F", type=Path, help="a checkpoint of either log that you kept"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _given(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        if not asked.bundle.is_dir():
            raise NotADirectoryError(f"{asked.bundle} is not a folder")
        root = asked.root.read_bytes()
        try:
            certificates.load(root)
        except VerificationFailed as error:
            raise VerificationFailed(
                f"{asked.root}: {error}; --root is the root certificate, PEM, from somebody you"
                " trust"
            ) from error
        approvers, kept = _given(asked.approvers), _given(asked.checkpoint)
    except (OSError, VerificationFailed) as error:
        print(f"sekisho-verify: {shown(str(error))}", file=sys.stderr)
        return 2
    report = Verification(asked.bundle, root, approvers, kept).run()
    try:
        print(report.json() if asked.json else report.text(), flush=True)
    except BrokenPipeError:  # who reads has gone away, as with `| head`; the verdict stays
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
