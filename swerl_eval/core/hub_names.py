"""Names of datasets on the hub, with or without a revision."""

from __future__ import annotations

import re

_PINNED = re.compile(r"([^@/\\]+(?:/[^@/\\]+)?)@(.*)", re.DOTALL)
"""An alias or `owner/name`, then a revision: a commit, a branch or a tag, which may hold `/` and `@`."""


def split_revision(dataset: str) -> tuple[str, str | None]:
    """Split a dataset's name and its revision: `verified@v1` into `verified` and `v1`. Without a revision it is None.

    Only the form of the name counts. A file or folder of that name takes precedence where rows are read.
    """
    match = _PINNED.fullmatch(dataset.strip())
    if match is None or set(match[1].partition("/")[0]) <= set(".~"):  # a path, such as ./rows@2
        return dataset, None
    return match[1], match[2]
