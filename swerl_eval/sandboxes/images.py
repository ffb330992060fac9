"""Container images: present, pulled, built from a task repository, removed."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import tenacity

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.sandboxes.engine import translated
from swerl_eval.sandboxes.leftovers import labels

PULLS_AT_A_TIME = 4
BUILT_LABEL = "swerl-eval.built"
PULL_ATTEMPTS = 5


def _worth_retrying(error: BaseException) -> bool:
    """Rate limits and passing failures of a registry; not an image or a registry that is not there."""
    text = str(error).lower()
    signs = ("toomanyrequests", "rate limit", "503", "timeout awaiting")
    return isinstance(error, SandboxError) and any(sign in text for sign in signs)


@dataclass(frozen=True)
class Image:
    """An image that is here."""

    name: str
    digest: str
    """Content digest (`sha256:…`)."""
    environment: frozenset[str]
    """Names of the variables that it sets."""


class Images:
    """The engine's images. Thread safe; pulls are bounded apart from whatever runs."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._pulls = threading.Semaphore(PULLS_AT_A_TIME)
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
        """Whether the image's registry answers and has it; asks for its manifest only."""
        try:
            with translated(f"asking the registry for {image}"):
                self._client.images.get_registry_data(image)
        except SandboxError:
            return False
        return True

    def ensure(self, image: str) -> Image:
        """Pull an image unless it is here. Raises `ImageMissingError` with the remedy."""
        found = self._found.get(image)
        if found is not None:
            return found
        with self._pulls:
            found = self._look(image)
            if found is None:
                try:
                    self._pull(image)
                except EngineUnavailableError:
                    raise
                except SandboxError as error:
                    message = (
                        f"the image {image} is not here and cannot be pulled ({error}); build it with "
                        "`swerl-eval images build`, load it with `docker load`, or check the registry's address"
                    )
                    raise ImageMissingError(message) from error
                found = self._look(image)
        if found is None:
            message = f"the image {image} was removed by somebody else right after it was pulled"
            raise ImageMissingError(message)
        self._found[image] = found
        return found

    def forget(self, image: str) -> None:
        """Look again the next time: an image that was here is not."""
        self._found.pop(image, None)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(_worth_retrying),
        wait=tenacity.wait_random_exponential(multiplier=5, max=120),
        stop=tenacity.stop_after_attempt(PULL_ATTEMPTS),
        reraise=True,
    )
    def _pull(self, image: str) -> None:
        name, _, tag = image.rpartition(":") if ":" in image.rsplit("/", 1)[-1] else (image, "", "latest")
        with translated(f"pulling {image}"):
            self._client.images.pull(name, tag=tag)

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
        with translated(f"removing the image {image}"):
            self._client.api.remove_image(image)
        self.forget(image)

    def git_folder(self, image: str) -> Iterator[bytes]:
        """The image's /testbed/.git as a tar stream, read without running anything."""
        self.ensure(image)
        with translated(f"reading the repository in {image}"):
            container = self._client.api.create_container(image, command=["true"], labels=labels(""))["Id"]
            try:
                stream, _ = self._client.api.get_archive(container, "/testbed/.git")
                yield from stream
            finally:
                self._client.api.remove_container(container, force=True, v=True)


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
