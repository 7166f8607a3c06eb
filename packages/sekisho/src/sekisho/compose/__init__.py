# SPDX-License-Identifier: Apache-2.0
"""The only place that wires adapters into services: the embedded topology.

One authority and one gate in one process, over one folder. ``home`` has keys and logs, ``gate`` the
services of a gate, ``documents`` what comes in and goes out, ``trial`` what stands in for a firm.
"""

from sekisho.compose.documents import (
    builtin_policy,
    register_document,
    write_bundle,
    write_gate_bundle,
    write_report,
)
from sekisho.compose.gate import Gate, offline_gate, open_gate
from sekisho.compose.gate_config import read_gate_config
from sekisho.compose.home import (
    Home,
    Surroundings,
    load_person,
    system_clock,
)
from sekisho.compose.new_home import check_new_home, init_home
from sekisho.compose.running_authority import RunningAuthority, running_authority
from sekisho.compose.trial import (
    COMPLIANCE_SEAT,
    ISSUER_SEAT,
    OPERATOR_SEAT,
    RATE_CURRENCIES,
    RISK_SEAT,
    VENUE_CREDENTIAL,
    Trial,
    make_people,
    paper_venue,
    programmed_rates,
    trial,
)

__all__ = [
    "COMPLIANCE_SEAT",
    "ISSUER_SEAT",
    "OPERATOR_SEAT",
    "RATE_CURRENCIES",
    "RISK_SEAT",
    "VENUE_CREDENTIAL",
    "Gate",
    "Home",
    "RunningAuthority",
    "Surroundings",
    "Trial",
    "builtin_policy",
    "check_new_home",
    "init_home",
    "load_person",
    "make_people",
    "offline_gate",
    "open_gate",
    "paper_venue",
    "programmed_rates",
    "read_gate_config",
    "register_document",
    "running_authority",
    "system_clock",
    "trial",
    "write_bundle",
    "write_gate_bundle",
    "write_report",
]
