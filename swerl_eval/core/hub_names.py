"""Names of datasets on the hub, with or without a revision."""

from __future__ import annotations

import re

_PINNED = re.compile(r"([^@/\\]+(?:/[^@/\\]+)?)@(.*)", re.DOTALL)
"""An alias or `owner/name`, and a revision: a commit, a branch or a tag, which may hold `/` and `@`."""


def split_revision(dataset: str) -> tuple[str, str | None]:
    """A dataset's name and its revision: of `verified@v1`, `verified` and `v1`; None where none is named.

    Only the form of the name counts. A file or folder of that name comes first where rows are read.
    """
    found = _PINNED.fullmatch(dataset.strip())
    if found is None or set(found[1].partition("/")[0]) <= set(".~"):  # a path, such as ./rows@2
        return dataset, None
    return found[1], found[2]
