# SPDX-License-Identifier: Apache-2.0
"""YAML policy documents as a tree of texts, lists and objects (docs/spec/policy.md, section 3).

Built on PyYAML's event stream alone: none of its constructors and resolvers runs, so no text turns
into a number, a boolean or a day on the way. What can make two readers see two documents is
refused: duplicate keys, anchors, aliases, tags, directives, a second document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from sekisho.core.errors import MalformedInput

DOCUMENT_BYTES_MAX = 65_536
DEPTH_MAX = 32
"""Far above what a policy needs; the core's own bound is lower."""


def read_yaml(document: bytes) -> Any:
    """Read one YAML document.

    Raises:
        MalformedInput: not UTF-8, not YAML, too large or deep, or one of the refused features.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise MalformedInput(f"policy: more than {DOCUMENT_BYTES_MAX} bytes")
    if document.startswith(b"\xef\xbb\xbf"):
        raise MalformedInput("policy: begins with a byte-order mark")
    try:
        events = yaml.parse(document.decode("utf-8"), Loader=yaml.SafeLoader)
        return _document(iter(events))
    except UnicodeError as error:
        raise MalformedInput("policy: not UTF-8 text") from error
    except RecursionError as error:
        raise MalformedInput("policy: nested too deeply") from error
    except yaml.YAMLError as error:
        raise MalformedInput(f"policy: not YAML: {' '.join(str(error).split())[:300]}") from error


def _document(events: Iterator[Any]) -> Any:
    next(events)  # the stream's start
    start = next(events)
    if not isinstance(start, yaml.DocumentStartEvent):
        raise MalformedInput("policy: is empty")
    if start.version or start.tags:
        raise MalformedInput("policy: holds a directive, which is not allowed")
    tree = _node(next(events), events, DEPTH_MAX)
    next(events)  # the document's end
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise MalformedInput("policy: holds a second document")
    return tree


def _node(event: Any, events: Iterator[Any], depth: int) -> Any:
    where = f"line {event.start_mark.line + 1}"
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise MalformedInput(f"policy: {where}: anchors and aliases are not allowed")
    if event.tag is not None:
        raise MalformedInput(f"policy: {where}: tags are not allowed")
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if depth == 0:
        raise MalformedInput(f"policy: {where}: nested too deeply")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_node(event, events, depth - 1))
        return items
    return _mapping(events, depth - 1)


def _mapping(events: Iterator[Any], depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        where = f"line {event.start_mark.line + 1}"
        name = _node(event, events, 0 if isinstance(event, yaml.ScalarEvent) else depth)
        if not isinstance(name, str):
            raise MalformedInput(f"policy: {where}: a field's name is one text")
        if name in result:
            raise MalformedInput(f"policy: {where}: field {name[:64]!r} is given twice", name[:64])
        result[name] = _node(next(events), events, depth)
    return result
