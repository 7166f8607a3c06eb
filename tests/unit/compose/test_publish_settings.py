# SPDX-License-Identifier: Apache-2.0
"""``[publish]`` of a home's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.config import Config, PublishSettings, read_config, write_config
from sekisho.core.errors import ConfigurationInvalid


@pytest.mark.parametrize(
    "url", ["", "http://pki.example.test", "https://192.0.2.1:8443", "http://[2001:db8::1]:80"]
)
def test_base_url_is_written_and_read_back(tmp_path: Path, url: str) -> None:
    """What a home was made with is what its settings say."""
    config = Config(issuer_name="Example", publish=PublishSettings(base_url=url))
    write_config(tmp_path, config)
    assert config == read_config(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "pki.example.test",
        "ftp://pki.example.test",
        "http://pki.example.test/",
        "http://pki.example.test/below",
        "http://pki.example.test?x",
        "http://user@pki.example.test",
        "http://pki.example.test:port",
        'http://pki.example.test"',
        "http://",
    ],
)
def test_base_url_that_is_no_place_is_refused(tmp_path: Path, url: str) -> None:
    """A path would not be served, and nothing else belongs there."""
    with pytest.raises(ConfigurationInvalid, match="base_url"):
        write_config(tmp_path, Config(issuer_name="Example", publish=PublishSettings(base_url=url)))
    text = url.replace('"', '\\"')
    (tmp_path / "sekisho.toml").write_text(
        f'issuer_name = "Example"\n[publish]\nbase_url = "{text}"\n', "utf-8"
    )
    with pytest.raises(ConfigurationInvalid, match="base_url"):
        read_config(tmp_path)
