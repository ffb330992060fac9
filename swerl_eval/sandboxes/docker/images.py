"""Container images of the engine: looks for them, pulls, builds and removes them."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, ImageRefusedError, SandboxError
from swerl_eval.ports import UNWATCHED, Watcher
from swerl_eval.sandboxes.docker.archives import build_context
from swerl_eval.sandboxes.docker.disk_budget import Budget, ImageDiskUsage, image_disk_usage
from swerl_eval.sandboxes.docker.engine import is_podman, translated
from swerl_eval.sandboxes.docker.image_check import MOST_SECONDS, RegistryCheck
from swerl_eval.sandboxes.docker.ledger import Entry, Ledger
from swerl_eval.sandboxes.docker.leftovers import labels
from swerl_eval.sandboxes.docker.pulls import Pulls, RetryPolicy
from swerl_eval.sandboxes.docker.registry_errors import remedy

BUILT_LABEL = "swerl-eval.built"


@dataclass(frozen=True)
class Image:
    """An image that the engine has."""

    name: str
    digest: str
    """Content digest (`sha256:…`)."""
    environment: frozenset[str]
    """Names of the environment variables that the image sets."""


class Images:
    """The engine's images. Thread safe."""

    def __init__(
        self,
        client: docker.DockerClient,
        cache: Path | None = None,
        disk: int | None = None,
        retry_policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        watcher: Watcher = UNWATCHED,
    ) -> None:
        """Open the images of an engine.

        Args:
            client: The engine.
            cache: Folder for the ledger of pulled images, which later processes read; None: this process's memory.
            disk: Bytes that images may take before unused ones that this tool pulled are removed; None: no budget.
            retry_policy: How failing pulls are tried again.
            watcher: Is told which images are waited for.
        """
        self._client, self._retry_policy, self._watcher = client, retry_policy, watcher
        self._ledger = Ledger(_ledger_file(client, cache) if cache is not None else None)
        self._budget = Budget(client, self._ledger, disk, self._remove, self.digest)
        self._pulls = Pulls(client, retry_policy, self._budget.trim, self._on_pulled, watcher)
        self._known: dict[str, Image] = {}
        """Images in use, which need not be looked for again."""

    def present(self, image: str) -> bool:
        """Whether the engine has the image now."""
        return self._inspect(image) is not None

    def _inspect(self, name: str) -> Image | None:
        try:
            with translated(f"looking for the image {name}"):
                details = self._client.api.inspect_image(name)
        except ImageMissingError:
            return None
        variables = (details.get("Config") or {}).get("Env") or []
        return Image(name, str(details["Id"]), frozenset(variable.partition("=")[0] for variable in variables))

    def names(self) -> list[str]:
        """Names of all images that the engine has."""
        with translated("listing images"):
            images = self._client.api.images()
        return sorted(name for image in images for name in image.get("RepoTags") or [] if name != "<none>:<none>")

    def in_registry(self, image: str) -> bool:
        """Whether the image's registry has it; a failure counts as no."""
        try:
            with translated(f"asking the registry for {image}"):
                self._client.api.inspect_distribution(image)
        except SandboxError:
            return False
        return True

    def check(self, images: Sequence[str], stop: threading.Event) -> dict[str, str]:
        """Find the images that are neither here nor in their registry. `stop` ends the check.

        Returns:
            Their names, and why they cannot be had.

        Raises:
            ImageMissingError: None of the images is here or can be had; with the remedy.
        """
        absent = [image for image in images if not stop.is_set() and not self.present(image)]
        some_here = len(absent) < len(images)
        if stop.is_set() or not absent:
            return {}
        answers = RegistryCheck(self._client, self._retry_policy, self._watcher).ask(absent, stop, some_here=some_here)
        if stop.is_set() or some_here or answers.available or answers.unsupported:
            return answers.missing
        reasons = {**answers.failing, **answers.missing}
        image = next(iter(reasons), absent[0])
        reason = reasons.get(image, f"its registry gave no answer within {MOST_SECONDS:.0f} s")
        message = (
            f"none of the {len(absent)} images is here or to be had, such as {image} ({reason}); "
            f"{remedy(reason, image)}"
        )
        raise ImageMissingError(message)

    def ensure(self, image: str, stop: threading.Event | None = None) -> Image:
        """Pull an image unless it is here; as `using`, but the image may be removed afterwards."""
        with self.using(image, stop) as present:
            return present

    @contextlib.contextmanager
    def using(self, image: str, stop: threading.Event | None = None) -> Iterator[Image]:
        """Pull an image unless it is here, and keep processes with the same cache from removing it inside the block.

        Args:
            image: Name of the image.
            stop: Ends the waiting for the pull.

        Raises:
            ImageMissingError: The image cannot be had; with the remedy.
        """
        with self._ledger.using(image):
            try:
                yield self._get(image, stop)
            finally:
                self._known.pop(image, None)  # it may be removed from now on

    def prefetch(self, image: str, stop: threading.Event) -> None:
        """Pull an image that jobs will need later."""
        self._pulls.pull(image, stop, is_prefetch=True)

    def prefetch_room(self, wanted: Collection[str]) -> bool:
        """Make room for one more image, without removing any in `wanted`; returns whether there is room."""
        self._budget.wanted = wanted
        return self._budget.trim(for_prefetch=True)

    def pulled(self) -> dict[str, Entry]:
        """Images that this tool pulled, by name. Some may have been removed by others."""
        return self._ledger.entries()

    def disk_usage(self) -> ImageDiskUsage:
        """What images take on the engine's disk."""
        return image_disk_usage(self._client)

    def _get(self, image: str, stop: threading.Event | None) -> Image:
        present = self._known.get(image) or self._inspect(image)
        if present is None:
            try:
                self._pulls.pull(image, stop)
            except EngineUnavailableError:
                raise
            except SandboxError as error:
                message = f"the image {image} is not here and cannot be pulled ({error}); {remedy(str(error), image)}"
                raise ImageRefusedError(message) from error
            present = self._inspect(image)
        if present is None:
            message = f"the image {image} was removed by somebody else right after it was pulled"
            raise ImageMissingError(message)
        self._known[image] = present
        return present

    def _on_pulled(self, image: str) -> None:
        pulled = self._inspect(image)
        if pulled is not None:
            size = self.size(image)
            self._ledger.record(image, pulled.digest, size)
            self._budget.pulled(size)
            self._budget.trim()

    def digest(self, image: str) -> str | None:
        """Content digest of an image that is here, or None."""
        present = self._inspect(image)
        return None if present is None else present.digest

    def forget(self, image: str) -> None:
        """Look for an image again at its next use, since it is gone."""
        self._known.pop(image, None)

    def size(self, image: str) -> int:
        """Bytes on disk, shared layers included."""
        with translated(f"looking for the image {image}"):
            return int(self._client.api.inspect_image(image)["Size"])

    def build(self, tag: str, dockerfile: str, context: Mapping[str, bytes] | Path) -> None:
        """Build an image.

        Args:
            tag: Name of the image.
            dockerfile: Text of the Dockerfile.
            context: A folder, or names and contents of files.

        Raises:
            SandboxError: The build failed; with the end of its output.
        """
        archive = build_context(dockerfile, context)
        output: list[str] = []
        with translated(f"building {tag}"):
            steps: Iterator[dict[str, Any]] = self._client.api.build(
                fileobj=archive,
                custom_context=True,
                tag=tag,
                labels={BUILT_LABEL: "1"},
                rm=True,
                forcerm=True,
                decode=True,
            )
            for step in steps:
                output.append(str(step.get("stream", step.get("error", ""))))
                if "error" in step:
                    message = f"building {tag} failed:\n{''.join(output)[-3000:]}"
                    raise SandboxError(message)

    def import_archive(self, tag: str, archive: Any) -> None:
        """Make an image from the tar stream of a root filesystem."""
        name, _, version = tag.rpartition(":")
        with translated(f"importing {tag}"):
            self._client.api.import_image_from_stream(archive, repository=name, tag=version)

    def built_here(self) -> list[str]:
        """Names of the images that `build` made."""
        with translated("listing images"):
            images = self._client.api.images(filters={"label": f"{BUILT_LABEL}=1"})
        return sorted(tag for image in images for tag in image.get("RepoTags") or [] if tag != "<none>:<none>")

    def remove(self, image: str) -> None:
        """Remove an image's name, and its layers where nothing else needs them."""
        self._remove(image)
        self.forget(image)
        self._ledger.drop(image)

    def _remove(self, image: str) -> None:
        with translated(f"removing the image {image}"):
            self._client.api.remove_image(image)

    def git_folder(self, image: str, stop: threading.Event) -> Iterator[bytes]:
        """The image's /testbed/.git as a tar stream, read without running anything. `stop` ends it."""
        with self.using(image, stop), translated(f"reading the repository in {image}"):
            container = self._client.api.create_container(image, command=["true"], labels=labels(""))["Id"]
            try:
                stream, _ = self._client.api.get_archive(container, "/testbed/.git")
                for chunk in stream:
                    if stop.is_set():
                        message = f"reading {image} was stopped"
                        raise SandboxError(message)
                    yield chunk
            finally:
                self._client.api.remove_container(container, force=True, v=True)


def _ledger_file(client: docker.DockerClient, cache: Path) -> Path:
    """The ledger's file; one for each place where an engine keeps images.

    Two engines on one machine were seen to have the same ID, so the engine's folder is part of the name. Podman has a
    new ID after each start, so the machine's name is used in place of it.
    """
    with translated("asking the Docker engine for its ID"):
        info = client.info()
    name = info["Name"] if is_podman(client) else info["ID"]
    engine = hashlib.sha256(f"{name} {info.get('DockerRootDir', '')}".encode()).hexdigest()[:16]
    return cache / "images" / f"{engine}.json"
