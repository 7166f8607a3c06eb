# SPDX-License-Identifier: Apache-2.0
"""File descriptors of the process: enough for what it was configured to take, or no start.

A process that runs out of them can neither take a connection nor open a file of its log. So it asks
before it listens.
"""

from __future__ import annotations

import resource

from sekisho.core.errors import ConfigurationInvalid

RESERVE = 256
"""For the log, keys, venues, the authority and the event loop."""


def secure_descriptors(connections: int) -> int:
    """Have descriptors for so many connections and the reserve; returns the soft limit then.

    The soft limit is raised where the hard one allows it.

    Raises:
        ConfigurationInvalid: the hard limit is too low.
    """
    needed = connections + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return soft
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigurationInvalid(
            f"{needed} file descriptors are needed for {connections} connections and the files of "
            f"the process, and the limit (ulimit -Hn) is {hard}",
            "limits.connections",
            f"raise the limit (LimitNOFILE={needed}), or allow fewer connections",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return needed
