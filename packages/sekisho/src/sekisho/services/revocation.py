# SPDX-License-Identifier: Apache-2.0
"""What the authority answers when asked for a certificate's status: OCSP responses and the CRL.

Both follow the register at once. "Good" is said only of a certificate that was issued here, is good
as of now, and only after everything known is durable; "hold" and "revoked" are said also when the
log cannot be written. A CRL is an entry before anyone receives it.
"""

from __future__ import annotations
