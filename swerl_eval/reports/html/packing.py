"""Packs the data of one instance into text that stands in the page: JSON, compressed, in base64.

The page's script reads it with `DecompressionStream('deflate-raw')` when the instance is opened.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import orjson

_RAW = -15
"""Window of zlib for a stream without header and checksum."""


def pack(data: dict[str, Any]) -> str:
    """Return JSON-able data as base64 of raw deflate of its JSON."""
    return base64.b64encode(deflated(data)).decode("ascii")


def deflated(data: object) -> bytes:
    """Return JSON-able data as raw deflate of its JSON."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _RAW)
    return packer.compress(orjson.dumps(data)) + packer.flush()
