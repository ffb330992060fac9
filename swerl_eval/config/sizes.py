"""Sizes as people write them: `8g`, `512m`, `100GB`."""

from __future__ import annotations

import re


def parse_size(text: str) -> int | None:
    """Bytes of a size; None for `none`, `0` and the empty text. Units are binary: `8g` is 8 GiB.

    Raises:
        ValueError: The text is not a size.
    """
    if text.strip().lower() in {"none", "0", ""}:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if match is None:
        message = f"{text!r} is not a size; write it as 512m or 8g"
        raise ValueError(message)
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))
