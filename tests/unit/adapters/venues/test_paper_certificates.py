# SPDX-License-Identifier: Apache-2.0
"""The folder of certificates: what is new is found once, what is none is left alone."""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.venues.paper_certificates import CertificateFolder
from sekisho.core.identity.reading import pem
from tests.paper_doubles import Desk


def test_folder_new_and_changed_files_are_read_once(tmp_path: Path) -> None:
    """PEM with one or several, DER; a file that changes is read again."""
    desk = Desk()
    one, two, three = (desk.new_agent(name).certificate for name in ("a", "b", "c"))
    folder = CertificateFolder(tmp_path)
    assert [] == folder()
    (tmp_path / "1.pem").write_bytes(pem(one) + pem(two))
    (tmp_path / "2.der").write_bytes(three)
    assert [one, two, three] == folder()
    assert [] == folder()
    (tmp_path / "1.pem").write_bytes(pem(three))
    assert [three] == folder()


def test_folder_what_is_no_certificate_is_left_alone(tmp_path: Path) -> None:
    """Garbage, a folder, a broken link, another ending: no failure, and the good one is found."""
    certificate = Desk().agent.certificate
    (tmp_path / "1.pem").write_bytes(b"garbage")
    (tmp_path / "2.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----")
    (tmp_path / "3.pem").mkdir()
    (tmp_path / "4.pem").symlink_to("nowhere")
    (tmp_path / "5.txt").write_bytes(pem(certificate))
    (tmp_path / "6.der").write_bytes(certificate)
    assert [certificate] == CertificateFolder(tmp_path)()


def test_folder_that_is_missing_is_empty(tmp_path: Path) -> None:
    """It may come later."""
    assert [] == CertificateFolder(tmp_path / "later")()
