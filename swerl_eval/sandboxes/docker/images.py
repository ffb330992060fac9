"""Container images: present, pulled, built from a task repository, removed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, ImageRefusedError, SandboxError
from swerl_eval.ports import UNWATCHED, Watcher
from swerl_eval.sandboxes.docker.disk_budget import Budget, ImageDiskUsage, usage
from swerl_eval.sandboxes.docker.engine import is_podman, translated
from swerl_eval.sandboxes.docker.image_check import MOST_SECONDS, Inquiry
from swerl_eval.sandboxes.docker.ledger import Entry, Ledger
from swerl_eval.sandboxes.docker.leftovers import labels
from swerl_eval.sandboxes.docker.pulls import Pulls, RetryPolicy
from swerl_eval.sandboxes.docker.registry_errors import remedy

BUILT_LABEL = "swerl-eval.built"


@dataclass(frozen=True)
class Image:
    """An image that is here."""

    name: str
    digest: str
    """Content digest (`sha256:…`)."""
    environment: frozenset[str]
    """Names of the variables that it sets."""


class Images:
    """The engine's images. Thread safe; pulls are bounded apart from whatever runs.

    What it pulls is noted in a file below `cache`, for later processes; without one, in this process's memory. With a
    budget of `disk` bytes unused ones of these are removed when images take more.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        cache: Path | None = None,
        disk: int | None = None,
        patience: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self._client, self._patience, self._watcher = client, patience, watcher
        self._ledger = Ledger(_ledger_file(client, cache) if cache is not None else None)
        self._budget = Budget(client, self._ledger, disk, self._remove, self.digest)
        self._pulls = Pulls(client, patience, self._budget.trim, self._came, watcher)
        self._found: dict[str, Image] = {}

    def present(self, image: str) -> bool:
        """Whether the engine has it now."""
        return self._look(image) is not None

    def _look(self, name: str) -> Image | None:
        try:
            with translated(f"looking for the image {name}"):
                details = self._client.api.inspect_image(name)
        except ImageMissingError:
            return None
        variables = (details.get("Config") or {}).get("Env") or []
        return Image(name, str(details["Id"]), frozenset(each.partition("=")[0] for each in variables))

    def in_registry(self, image: str) -> bool:
        """Whether the image's registry answers and has it, asked once."""
        try:
            with translated(f"asking the registry for {image}"):
                self._client.api.inspect_distribution(image)
        except SandboxError:
            return False
        return True

    def check(self, images: Sequence[str], stop: threading.Event) -> dict[str, str]:
        """Those that are neither here nor in their registry, and why; `stop` ends it.

        Raises `ImageMissingError` with the remedy where not a single one is here or can be had.
        """
        absent = [image for image in images if not stop.is_set() and not self.present(image)]
        some_here = len(absent) < len(images)
        if stop.is_set() or not absent:
            return {}
        answers = Inquiry(self._client, self._patience, self._watcher).ask(absent, stop, some_here=some_here)
        if stop.is_set() or some_here or answers.had or answers.unable:
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
        """Pull an image unless it is here. Raises `ImageMissingError` with the remedy. `stop` ends the waiting."""
        with self.using(image, stop) as found:
            return found

    @contextlib.contextmanager
    def using(self, image: str, stop: threading.Event | None = None) -> Iterator[Image]:
        """An image, pulled first unless it is here, that no process with the same cache removes meanwhile.

        `stop` ends the waiting for it. Raises `ImageMissingError` with the remedy.
        """
        with self._ledger.using(image):
            try:
                yield self._get(image, stop)
            finally:
                self._found.pop(image, None)  # from now on it may be removed

    def fetch_ahead(self, image: str, stop: threading.Event) -> None:
        """Pull an image that jobs will need later, where it is not here."""
        self._pulls.pull(image, stop, ahead=True)

    def room_ahead(self, wanted: Collection[str]) -> bool:
        """Whether the budget has room to fetch one image ahead; makes it, but for those in `wanted`."""
        self._budget.wanted = wanted
        return self._budget.trim(ahead=True)

    def pulled(self) -> dict[str, Entry]:
        """What this tool pulled, by name; some of it may be gone."""
        return self._ledger.entries()

    def usage(self) -> ImageDiskUsage:
        """What images take on the engine's disk."""
        return usage(self._client)

    def _get(self, image: str, stop: threading.Event | None) -> Image:
        found = self._found.get(image) or self._look(image)
        if found is None:
            try:
                self._pulls.pull(image, stop)
            except EngineUnavailableError:
                raise
            except SandboxError as error:
                message = f"the image {image} is not here and cannot be pulled ({error}); {remedy(str(error), image)}"
                raise ImageRefusedError(message) from error
            found = self._look(image)
        if found is None:
            message = f"the image {image} was removed by somebody else right after it was pulled"
            raise ImageMissingError(message)
        self._found[image] = found
        return found

    def _came(self, image: str) -> None:
        found = self._look(image)
        if found is not None:
            size = self.size(image)
            self._ledger.record(image, found.digest, size)
            self._budget.pulled(size)
            self._budget.trim()

    def digest(self, image: str) -> str | None:
        """Content digest of an image that is here, or None."""
        found = self._look(image)
        return None if found is None else found.digest

    def forget(self, image: str) -> None:
        """Look again the next time: an image that was here is not."""
        self._found.pop(image, None)

    def size(self, image: str) -> int:
        """Bytes on disk, shared layers included."""
        with translated(f"looking for the image {image}"):
            return int(self._client.api.inspect_image(image)["Size"])

    def build(self, tag: str, dockerfile: str, context: Mapping[str, bytes] | Path) -> None:
        """Build an image from a Dockerfile's text and a context (a folder, or names and contents).

        Raises `SandboxError` with the end of the build's output.
        """
        archive = _context(dockerfile, context)
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
        """Make an image of a root filesystem's tar stream."""
        name, _, version = tag.rpartition(":")
        with translated(f"importing {tag}"):
            self._client.api.import_image_from_stream(archive, repository=name, tag=version)

    def built_here(self) -> list[str]:
        """Names of the images that `build` made."""
        with translated("listing images"):
            found = self._client.api.images(filters={"label": f"{BUILT_LABEL}=1"})
        return sorted(tag for image in found for tag in image.get("RepoTags") or [] if tag != "<none>:<none>")

    def remove(self, image: str) -> None:
        """Remove an image's name, and its layers where nothing else needs them."""
        self._remove(image)
        self.forget(image)
        self._ledger.drop(image)

    def _remove(self, image: str) -> None:
        with translated(f"removing the image {image}"):
            self._client.api.remove_image(image)

    def git_folder(self, image: str, stop: threading.Event) -> Iterator[bytes]:
        """The image's /testbed/.git as a tar stream, read without running anything, until `stop` is set."""
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
    """One file for each place where an engine keeps images.

    Two engines on one machine were seen to have the same ID, so their folders count too. Podman makes up another ID at
    each start; there the machine's name stands for it.
    """
    with translated("asking the Docker engine for its ID"):
        info = client.info()
    name = info["Name"] if is_podman(client) else info["ID"]
    engine = hashlib.sha256(f"{name} {info.get('DockerRootDir', '')}".encode()).hexdigest()[:16]
    return cache / "images" / f"{engine}.json"


def _context(dockerfile: str, context: Mapping[str, bytes] | Path) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        if isinstance(context, Path):
            archive.add(context, arcname=".", filter=lambda member: None if member.name == "./Dockerfile" else member)
        else:
            for name, content in context.items():
                _add(archive, name, content)
        _add(archive, "Dockerfile", dockerfile.encode())
    buffer.seek(0)
    return buffer


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
