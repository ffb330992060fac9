"""Gives a repository's contents at a commit, without a checkout: from a bare mirror, a clone in the cache, or an image.

One mirror serves all instances of its repository.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import filelock

from swerl_eval.core.errors import SandboxError, SourceError
from swerl_eval.core.types import Instance
from swerl_eval.ports import UNWATCHED, Snapshot, Watcher
from swerl_eval.records.atomic import replacing_folder
from swerl_eval.sources.git import git
from swerl_eval.sources.snapshots import LACKS_COMMIT, GitSnapshot, look_for

CLONE_TIMEOUT = 3600.0
"""Seconds for one clone; django's full history takes minutes on a slow line."""
LOCK_TIMEOUT = CLONE_TIMEOUT + 600.0
"""Seconds to wait for another process that makes the same folder."""
LOCK_POLL_SECONDS = 0.2
CONCURRENT_CLONES = 4
"""Also the number of images that are read at a time."""
EXTRACT_GRACE_SECONDS = 15.0
"""Longest wait for the reading of an image to end after it was cancelled."""
ALL_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")

ReadGitFolder = Callable[[str, threading.Event], Iterator[bytes]]
"""Yields an image's /testbed/.git as a tar stream, until the event is set."""


class Repositories:
    """Finds each instance's repository and gives its snapshot.

    The order of the search: bare mirrors, clones in the cache, a new clone, the instance's image. A clone that lacks
    the commit fetches it. Several processes may share a cache. Cancelling ends everything that takes long.

    Args:
        cache: Folder for clones.
        mirrors: Folder of bare mirrors, named as `mirror_names` says.
        read_image: Reads the repository in an image; None where there is no container engine.
        clone_url: Address to clone from, with `{repo}` in it.
        watcher: Told what is waited for.
    """

    def __init__(
        self,
        cache: Path,
        mirrors: Path | None = None,
        read_image: ReadGitFolder | None = None,
        clone_url: str = "https://github.com/{repo}.git",
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self._cache = cache
        self._mirrors = mirrors
        self._read_image = read_image
        self._clone_url = clone_url
        self._watcher = watcher
        self._locks: dict[Path, anyio.Lock] = {}
        self._clones = anyio.CapacityLimiter(CONCURRENT_CLONES)
        self._image_threads = anyio.CapacityLimiter(CONCURRENT_CLONES)
        self._not_cloned: dict[str, str] = {}
        """Why a repository could not be cloned, by its address. It is not tried again for other instances."""
        self._not_fetched: dict[tuple[Path, str], str] = {}
        """Why a commit could not be fetched into a clone. It is not tried again."""

    async def snapshot(self, instance: Instance) -> Snapshot:
        """Return the contents at the base commit. Raises `SourceError` that says what was tried."""
        mirrors = [self._mirrors / name for name in mirror_names(instance.repo)] if self._mirrors is not None else []
        cached = [self._clone_folder(instance.repo), self._image_folder(instance)]
        tried: list[str] = []
        for folder in [*mirrors, *cached]:
            result = await self._look(folder, instance.base_commit)
            if isinstance(result, GitSnapshot):
                return result
            if result and folder not in cached:
                tried.append(f"{folder} {result}")
        for obtain in (self._cloned, self._from_image):
            try:
                return await obtain(instance)
            except SourceError as error:
                tried.append(str(error))
        message = (
            f"{instance.instance_id}: no repository with {instance.repo} at {instance.base_commit[:12]} "
            f"({'; '.join(tried)}); clone it with `git clone --bare` into a folder and pass that as --repositories"
        )
        raise SourceError(message)

    async def _look(self, folder: Path, commit: str) -> GitSnapshot | str:
        return await anyio.to_thread.run_sync(look_for, folder, commit)

    def _clone_folder(self, repo: str) -> Path:
        return self._cache / "repositories" / mirror_names(repo)[0]

    def _image_folder(self, instance: Instance) -> Path:
        return self._cache / "repositories" / "from-images" / f"{_safe(instance.instance_id)}.git"

    async def _cloned(self, instance: Instance) -> GitSnapshot:
        """Return a snapshot from a clone in the cache; the clone is made, or fetches the commit that it lacks."""
        folder, commit = self._clone_folder(instance.repo), instance.base_commit
        url = self._clone_url.format(repo=instance.repo)
        async with self._exclusive(folder, instance.repo):
            result = await self._look(folder, commit)  # another task or process may have made it meanwhile
            if not isinstance(result, GitSnapshot) and result != LACKS_COMMIT:
                self._watcher.waiting(instance.repo, "cloning")
                await self._clone(folder, url)
                result = await self._look(folder, commit)
            if result == LACKS_COMMIT:
                self._watcher.waiting(instance.repo, f"fetching {commit[:12]}")
                await self._fetch(folder, url, commit)
            return await self._complete(folder, commit)

    async def _clone(self, folder: Path, url: str) -> None:
        """Clone into a folder; a partial clone or a folder that git cannot read is replaced."""
        if url in self._not_cloned:
            raise SourceError(self._not_cloned[url])
        try:
            with replacing_folder(folder) as new:
                async with self._clones:
                    await git("clone", "--quiet", "--bare", "--", url, str(new), timeout=CLONE_TIMEOUT)
        except SourceError as error:
            self._not_cloned[url] = f"cannot clone {url}: {error}"
            raise SourceError(self._not_cloned[url]) from error

    async def _fetch(self, folder: Path, url: str, commit: str) -> None:
        """Fetch a commit into a clone, once: by its name, or all refs where the server gives no commit by name."""
        if (folder, commit) in self._not_fetched:
            raise SourceError(self._not_fetched[folder, commit])
        fetch = ("--git-dir", str(folder), "fetch", "--quiet", "--no-write-fetch-head", "--", url)
        try:
            async with self._clones:
                try:
                    await git(*fetch, commit, timeout=CLONE_TIMEOUT)
                except SourceError:
                    await git(*fetch, *ALL_REFS, timeout=CLONE_TIMEOUT)
        except SourceError as error:
            self._not_fetched[folder, commit] = f"{folder} {LACKS_COMMIT}, and cannot fetch it from {url}: {error}"
            raise SourceError(self._not_fetched[folder, commit]) from error
        self._not_fetched[folder, commit] = f"{folder} {LACKS_COMMIT}, and so does {url}"

    async def _complete(self, folder: Path, commit: str) -> GitSnapshot:
        result = await self._look(folder, commit)
        if isinstance(result, GitSnapshot):
            return result
        message = self._not_fetched.get((folder, commit)) or f"{folder} {result}"
        raise SourceError(message)

    async def _from_image(self, instance: Instance) -> GitSnapshot:
        """Return a snapshot from the instance's image, which is pulled where it is not here."""
        if self._read_image is None:
            message = "no container engine to read the image with"
            raise SourceError(message)
        folder = self._image_folder(instance)
        async with self._exclusive(folder, instance.image):
            if not folder.exists():
                with replacing_folder(folder) as new:
                    await self._extract(self._read_image, instance.image, new)
        return await self._complete(folder, instance.base_commit)

    async def _extract(self, read_image: ReadGitFolder, image: str, target: Path) -> None:
        stop, started, ended = threading.Event(), threading.Event(), threading.Event()

        def extract() -> None:
            started.set()
            try:
                # a folder without refs/ is no repository to git, and an image with packed refs has no file in it
                (target / "refs").mkdir(parents=True)
                _extract_git_folder(io.BufferedReader(_Chunks(read_image(image, stop))), target)
            except (SandboxError, tarfile.TarError, OSError) as error:
                message = f"cannot read the repository in the image {image}: {error}"
                raise SourceError(message) from error
            finally:
                ended.set()

        self._watcher.waiting(image, "reading the repository in it")
        try:
            await anyio.to_thread.run_sync(extract, abandon_on_cancel=True, limiter=self._image_threads)
        except anyio.get_cancelled_exc_class():
            stop.set()
            with anyio.CancelScope(shield=True), anyio.move_on_after(EXTRACT_GRACE_SECONDS):
                while started.is_set() and not ended.is_set():
                    await anyio.sleep(LOCK_POLL_SECONDS / 4)
            raise

    @contextlib.asynccontextmanager
    async def _exclusive(self, folder: Path, name: str) -> AsyncIterator[None]:
        """Keep other tasks and processes from changing a folder; `name` is shown as waited for."""
        try:
            async with self._locks.setdefault(folder, anyio.Lock()):
                lock = await self._locked(folder, name)
                try:
                    yield
                finally:
                    lock.release()
        finally:
            self._watcher.waiting(name, "")

    async def _locked(self, folder: Path, name: str) -> filelock.BaseFileLock:
        deadline = anyio.current_time() + LOCK_TIMEOUT
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(f"{folder}.lock")
            while True:
                with contextlib.suppress(filelock.Timeout):
                    lock.acquire(timeout=0)
                    return lock
                self._watcher.waiting(name, "another process makes its clone")
                if anyio.current_time() > deadline:
                    message = f"another process has held {folder}.lock for {LOCK_TIMEOUT:,.0f} s; see what it does"
                    raise SourceError(message)
                await anyio.sleep(LOCK_POLL_SECONDS)
        except OSError as error:
            message = f"{folder.parent} cannot be written ({error.strerror}); choose another folder (-c cache=FOLDER)"
            raise SourceError(message) from error


def _extract_git_folder(stream: io.BufferedReader, target: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        # Python has this filter from 3.10.12 on; only plain files are extracted in any case
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in archive:
            # only files of git's own, no hook, and no link that leads elsewhere
            name = member.name.partition("/")[2]
            if member.isfile() and ".." not in Path(name).parts and not name.startswith("hooks/"):
                member.name = name
                member.mode = 0o644
                archive.extract(member, target)


def mirror_names(repo: str) -> list[str]:
    """Return the names that a bare mirror of `owner/name` may have in a folder of mirrors."""
    owner, _, name = repo.partition("/")
    joined = [f"{owner}{separator}{name}" for separator in ("__", "+", "/", "-")]
    return [form + suffix for form in (*joined, name) for suffix in (".git", "", "/repo", "/.git")]


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


class _Chunks(io.RawIOBase):
    """A file that reads from an iterator of byte chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io.BufferedReader hands over
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
