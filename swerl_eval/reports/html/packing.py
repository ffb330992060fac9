"""Packs the data of one instance into text that stands in the page: JSON, compressed, in base64.

The page's script reads it with `DecompressionStream('deflate-raw')` when the instance is opened.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import orjson

PAGE_CHARACTERS = 22_500_000
"""Of the packed data of a page with up to 500 instances. With tables and charts the page stays under 25 MB."""
_LEAST, _MOST = PAGE_CHARACTERS // 500, 1_000_000
"""Characters of one instance, whatever their number."""
_RAW = -zlib.MAX_WBITS
"""Window of a stream without header and checksum."""


def pack(data: dict[str, Any]) -> str:
    """Return JSON-able data as the base64 of the raw deflate of its JSON."""
    return base64.b64encode(_deflated(orjson.dumps(data))).decode("ascii")


def packed_size(data: object, room: float = 0.0) -> int:
    """Return the length of `pack`'s text, or of the text without compression where that is within the room already."""
    document = orjson.dumps(data)
    plain = _in_base64(len(document))
    return plain if plain <= room else _in_base64(len(_deflated(document)))


def room_for_each(instances: int) -> int:
    """Return how long the packed data of each instance of a page may be."""
    return max(_LEAST, min(_MOST, PAGE_CHARACTERS // max(1, instances)))


def _in_base64(length: int) -> int:
    return (length + 2) // 3 * 4


def _deflated(document: bytes) -> bytes:
    packer = zlib.compressobj(wbits=_RAW)
    return packer.compress(document) + packer.flush()
