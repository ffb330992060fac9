"""Finds what keeps sides from being compared: other datasets, instances, denominators, limits, images, harnesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swerl_eval.core.errors import UsageError
from swerl_eval.reports.comparison.names import Mark, listed, printable
from swerl_eval.reports.comparison.sides import DATASET, DENOMINATOR, HARNESS, IMAGES, INSTANCES, LIMITS, Side

_SHOWN_NAMES = 5
_SHOWN_VALUE = 16
"""Characters of a hash that are shown."""
REMEDY = (
    "evaluate them with the same dataset, instances, limits, images and swebench, or compare what they have in common "
    "with --anyway"
)


@dataclass(frozen=True)
class Difference:
    """One pin in which a side differs from the first one."""

    pin: str
    sides: tuple[str, ...]
    """The sides whose values follow; for instances without values: those that have them, or that differ on them."""
    values: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()

    def words(self, mark: Mark) -> str:
        """Say it in one line; names go through `mark`."""
        names = [mark(side) for side in self.sides]
        if self.values:
            shown = (value[:_SHOWN_VALUE] if self.pin == DATASET else value for value in self.values)
            pairs = zip(shown, names, strict=True)
            return f"{self.pin}: {' and '.join(f'{mark(value)} in {name}' for value, name in pairs)}"
        names_of = listed(self.instances, mark, _SHOWN_NAMES)
        if self.pin == INSTANCES:
            return f"{self.pin}: {len(self.instances)} in {names[0]} that {names[1]} lacks ({names_of})"
        return f"{self.pin}: other digests in {' and '.join(names)} for {len(self.instances)} ({names_of})"


def differences_of(sides: Sequence[Side]) -> list[Difference]:
    """Return in what the other sides differ from the first one that records a pin, and no difference twice."""
    differences = _instances(sides)
    for pin in (DENOMINATOR, DATASET, HARNESS):
        differences += _values(pin, [(side.name, side.pins.get(pin)) for side in sides])
    for limit in sorted({name for side in sides for name in side.limits}):
        differences += _values(f"{LIMITS}, {limit}", [(side.name, side.limits.get(limit)) for side in sides])
    with_images = [side for side in sides if side.images]
    for side in with_images[1:]:
        differences += _images(with_images[0], side)
    return differences


def _instances(sides: Sequence[Side]) -> list[Difference]:
    """Return which instances a side has and another one lacks; a side that does not name all of its own lacks none."""
    whole = next((side for side in sides if side.all_named), None)
    differences = []
    for side in sides:
        if whole is None or side is whole:
            continue
        gone = tuple(sorted(whole.named - side.named)) if side.all_named else ()
        more = tuple(sorted(side.named - whole.named))
        differences += [Difference(INSTANCES, (whole.name, side.name), instances=gone)] if gone else []
        differences += [Difference(INSTANCES, (side.name, whole.name), instances=more)] if more else []
    return differences


def _values(pin: str, values: Sequence[tuple[str, str | None]]) -> list[Difference]:
    """Return which sides have another value than the first side that has one."""
    known = [(name, value) for name, value in values if value is not None]
    return [
        Difference(pin, (known[0][0], name), (known[0][1], value)) for name, value in known[1:] if value != known[0][1]
    ]


def _images(first: Side, second: Side) -> list[Difference]:
    other = tuple(sorted(n for n, digest in first.images.items() if second.images.get(n, digest) != digest))
    return [Difference(IMAGES, (first.name, second.name), instances=other)] if other else []


def refuse(sides: Sequence[Side], differences: Sequence[Difference]) -> None:
    """Refuse sides that differ.

    Raises:
        UsageError: There are differences; the message names each of them, and the remedy.
    """
    if differences:
        names = ", ".join(printable(side.name) for side in sides)
        reasons = "; ".join(difference.words(printable) for difference in differences)
        message = f"{names} cannot be compared: {reasons}; {REMEDY}"
        raise UsageError(message)


def common_instances(sides: Sequence[Side]) -> list[str]:
    """Return the instances that every side has, sorted.

    Raises:
        UsageError: There are none, or no side names all of its instances.
    """
    whole = [side.named for side in sides if side.all_named]
    if not whole:
        message = (
            "no side names all of its instances, so there is no denominator; put a run folder or swebench's run report "
            "beside them"
        )
        raise UsageError(message)
    common = sorted(frozenset.intersection(*whole))
    if not common:
        message = f"{', '.join(printable(side.name) for side in sides)} have no instance in common; compare other runs"
        raise UsageError(message)
    return common
