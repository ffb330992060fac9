"""Keeps which node claims which image, and the images that are wanted and that no node claims."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic

from swerl_eval.sandboxes.ray.waiting import Claim, Image, JobKey, JobQueue, Node


class Claims(Generic[JobKey]):
    """All images, and the claims of nodes to them.

    Args:
        layer_group: Tells of an image's name what it has in common with images that share layers with it.
    """

    def __init__(self, layer_group: Callable[[str], str]) -> None:
        self._layer_group = layer_group
        self._images: dict[str, Image[JobKey]] = {}
        self._unclaimed: dict[str, dict[Image[JobKey], None]] = {}
        """By group."""
        self._serving: Counter[str] = Counter()
        """Nodes that claim images of a group."""
        self._queues = 0

    def image(self, name: str) -> Image[JobKey]:
        """Return the image of a name."""
        if name not in self._images:
            number = re.findall(r"\d+", name)[-1:]
            self._images[name] = Image(name, self._layer_group(name), int("".join(number) or 0))
        return self._images[name]

    def queue(self, name: str, cpus: int, memory: int) -> JobQueue[JobKey]:
        """Return the queue of the jobs that need an image, and as much of a node."""
        image = self.image(name)
        if (cpus, memory) not in image.queues:
            self._queues += 1
            queue = image.queues[cpus, memory] = JobQueue(self._queues, image, cpus, memory)
            for node in image.nodes:
                queue.add_server(node)
        return image.queues[cpus, memory]

    def of(self, name: str) -> list[Node[JobKey]]:
        """Return the nodes that claim an image, those first that hold it."""
        image = self._images.get(name)
        return sorted(image.nodes, key=lambda node: not node.claims[image].held) if image else []

    def claim(self, image: Image[JobKey], node: Node[JobKey]) -> Claim:
        """Return a node's claim to an image, a new one if there is none."""
        if image not in node.claims:
            self._serving[image.group] += image.group not in node.groups
            image.add_node(node)
            self.update(image)
        return node.claims[image]

    def drop(self, image: Image[JobKey], node: Node[JobKey]) -> None:
        """Forget a node's claim to an image."""
        image.drop_node(node)
        self._serving[image.group] -= image.group not in node.groups
        self.update(image)

    def update(self, image: Image[JobKey]) -> None:
        """Note whether an image is wanted and unclaimed, as it stands now."""
        group = self._unclaimed.get(image.group, {})
        if image.unclaimed():
            group[image] = None
            self._unclaimed[image.group] = group
        elif image in group:
            del group[image]
            if not group:
                del self._unclaimed[image.group]

    def unclaimed(self, node: Node[JobKey]) -> Iterator[Image[JobKey]]:
        """Yield the images that are wanted and that nobody claims, the best for a node first.

        These are the ones that share layers with the node's; then those of the group with the most of them for each
        node that serves it, so that each group gets its part of the nodes.
        """
        for group in reversed(node.groups):
            near = node.last_image[group].number
            yield from sorted(self._unclaimed.get(group, ()), key=lambda image: abs(image.number - near))
        others = (group for group in self._unclaimed if group not in node.groups)
        for group in sorted(
            others, key=lambda group: (-len(self._unclaimed[group]) / (1 + self._serving[group]), group)
        ):
            yield from self._unclaimed[group]
