# SPDX-License-Identifier: Apache-2.0
"""URIs of keys: closed, without secrets, and read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.signers.key_uris import (
    AwsKmsUri,
    Pkcs11Uri,
    check_name,
    file_path,
    read_awskms,
    read_pkcs11,
    scheme_of,
)
from sekisho.core.errors import ConfigurationInvalid

_KEY = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"
_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


def test_pkcs11_uri_of_the_specification_is_read() -> None:
    """Path and query attributes, percent-encoded."""
    uri = "pkcs11:token=my%20gate;object=a-1;id=%01%FF;type=private;serial=9?pin-source=file:/p"
    assert read_pkcs11(f"{uri}&module-path=/m.so") == Pkcs11Uri(
        token="my gate",
        serial="9",
        label="a-1",
        key_id=b"\x01\xff",
        module="/m.so",
        pin_source="/p",
    )


@given(
    token=_texts,
    label=_texts,
    key_id=st.binary(max_size=20),
    pin=_texts.filter(lambda text: not text.startswith("file:")),
)
def test_pkcs11_uri_is_read_as_written(token: str, label: str, key_id: bytes, pin: str) -> None:
    """Whatever labels a token has, the URI that names them finds them again."""
    uri = Pkcs11Uri(token=token, label=label, key_id=key_id, module="/m", pin_source=pin)
    assert uri == read_pkcs11(uri.text())


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:object=a?pin-source=p",
        "pkcs11:token=t?pin-source=p",
        "pkcs11:token=t;object=a",
        "pkcs11:token=t;object=a?pin-source=",
        "pkcs11:token=t;token=t;object=a?pin-source=p",
        "pkcs11:token=t;object=a;type=public?pin-source=p",
        "pkcs11:token=t;object=a;slot-id=1?pin-source=p",
        "pkcs11:token=t;object=a;x-vendor=1?pin-source=p",
        "pkcs11:token=t;object=a?pin-source=p&module-name=m",
        "pkcs11:token=t;object=a?pin-source=p&pin-source=p",
        "pkcs11:token=t;object=a b?pin-source=p",
        "pkcs11:token=t;object=a%2?pin-source=p",
        "pkcs11:token=t;object=%FF?pin-source=p",
        "pkcs11:token=t;object=%00?pin-source=p",
        "pkcs11:token=t;object=a\n?pin-source=p",
        "pkcs11:",
        "PKCS11:token=t;object=a?pin-source=p",
    ],
)
def test_pkcs11_uri_of_another_form_is_refused(uri: str) -> None:
    """What is missing, doubled, unknown or not encoded is refused."""
    with pytest.raises(ConfigurationInvalid):
        read_pkcs11(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=t;object=a?pin-source=p&pin-value=4711",
        "pkcs11:token=t;object=a;pin-value=4711?pin-source=p",
        "pkcs11:token=t;object=a?pin-source=p&pin-valu=47{11",
    ],
)
def test_pkcs11_uri_with_a_pin_is_refused_and_not_repeated(uri: str) -> None:
    """A PIN in a URI would end in logs: the refusal does not put it there."""
    with pytest.raises(ConfigurationInvalid) as told:
        read_pkcs11(uri)
    assert "47" not in str(told.value) + told.value.where + told.value.do


def test_pkcs11_uri_of_a_token_alone_names_no_key() -> None:
    """Where a place is wanted a key is refused, and the other way round."""
    assert read_pkcs11("pkcs11:token=t?pin-source=p", key=False).token == "t"
    with pytest.raises(ConfigurationInvalid):
        read_pkcs11("pkcs11:token=t;object=a?pin-source=p", key=False)


@pytest.mark.parametrize(
    "key_id",
    [
        "11111111-2222-3333-4444-555555555555",
        "mrk-" + "a" * 32,
        "alias/sekisho/algo_trader-1",
        _KEY,
        "arn:aws-cn:kms:eu-west-1:111122223333:alias/x",
    ],
)
def test_awskms_uri_is_read_in_either_order(key_id: str) -> None:
    """Ids, aliases and ARNs of the region."""
    uri = AwsKmsUri(region="eu-west-1", key_id=key_id)
    assert uri == read_awskms(uri.text())
    assert uri == read_awskms(f"awskms:key-id={key_id};region=eu-west-1")


@pytest.mark.parametrize(
    "uri",
    [
        "awskms:region=eu-west-1",
        f"awskms:key-id={_KEY}",
        f"awskms:region=us-east-1;key-id={_KEY}",
        "awskms:region=eu-west-1;key-id=alias/aws/ebs",
        "awskms:region=eu-west-1;key-id=alias/",
        "awskms:region=eu-west-1;key-id=x",
        "awskms:region=eu-west-1;key-id=alias/x\n",
        "awskms:region=evil.example;key-id=alias/x",
        "awskms:region=eu-west-1@evil;key-id=alias/x",
        "awskms:region=eu-west-1;region=eu-west-1;key-id=alias/x",
        "awskms:region=eu-west-1;region=eu-west-2;key-id=alias/x",
        "awskms:region=eu-west-1;key-id=alias/x;secret=y",
        "awskms:",
    ],
)
def test_awskms_uri_of_another_form_is_refused(uri: str) -> None:
    """A region that is a host, an ARN of elsewhere, the service's own keys."""
    with pytest.raises(ConfigurationInvalid):
        read_awskms(uri)


@pytest.mark.parametrize("uri", ["file:", "file://host/x", "file:a\0b", "keys/a.key"])
def test_file_uri_of_another_form_is_refused(uri: str) -> None:
    """A path, and no host."""
    with pytest.raises(ConfigurationInvalid):
        file_path(uri)


def test_scheme_is_what_stands_before_the_first_colon() -> None:
    """Without a colon there is none."""
    assert ["file", "awskms", ""] == [scheme_of(one) for one in ("file:a:b", "awskms:x", "keys")]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a", True), ("A-1_b", True), ("0" * 100, True), ("0" * 101, False), ("_a", False)],
)
def test_name_of_a_key_is_bounded(name: str, is_one: bool) -> None:
    """1 to 100 characters that mean nothing in paths, labels and URIs."""
    try:
        check_name(name)
        taken = True
    except ConfigurationInvalid:
        taken = False
    assert taken == is_one


@given(st.text(max_size=4))
def test_uri_noise_is_refused_or_read_back_and_never_breaks(noise: str) -> None:
    """Any text is read or refused."""
    uri = f"pkcs11:token={noise};object=a?pin-source=p"
    try:
        found = read_pkcs11(uri)
    except ConfigurationInvalid:
        found = Pkcs11Uri(token="t", label="a", pin_source="p")
    assert found == read_pkcs11(found.text())
    with pytest.raises(ConfigurationInvalid):
        read_awskms(f"awskms:region={noise};key-id=x")
