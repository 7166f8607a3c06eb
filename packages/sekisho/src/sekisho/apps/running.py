# SPDX-License-Identifier: Apache-2.0
"""One use case from the command line; a failure becomes one message that says what to do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import click

from sekisho.apps.messages import failure_text
from sekisho.core.errors import SekishoError


def program() -> str:
    """This program as the reader called it, for commands that are printed to be run next."""
    return sys.argv[0] if sys.argv[0].endswith("sekisho") else "sekisho"


def run(work: Coroutine[Any, Any, int], loop_factory: Any = None) -> NoReturn:
    """Run it and exit with its code: 1 after a failure, 130 when interrupted.

    Args:
        work: the use case.
        loop_factory: of the event loop; None: the standard one.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            code = runner.run(work)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has gone away, as with `| head`: nothing is left to be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (SekishoError, OSError) as error:
        click.echo(failure_text(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("sekisho: interrupted", err=True)
        sys.exit(130)
    sys.exit(code)
