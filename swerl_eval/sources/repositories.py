"""A repository's contents at a commit, without a checkout: from a bare mirror, a clone in the cache, or an image.

One mirror serves every instance of its repository. A mirror's commit is read by libgit2: listing sympy's tree takes
milliseconds, a file a fraction of one.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import filelock
import pygit2

from swerl_eval.core.errors import SandboxError, SourceError
from swerl_eval.core.types import Instance
from swerl_eval.ports import Snapshot

CLONE_TIMEOUT = 3600.0
"""Seconds for one clone; django's full history took minutes on a slow line."""

ReadGitFolder = Callable[[str], Iterator[bytes]]
"""Gives an image's /testbed/.git as a tar stream."""


class GitSnapshot:
    """A commit of a bare repository (a `ports.Snapshot`)."""

    def __init__(self, repository: pygit2.Repository, commit: str) -> None:
        self._repository = repository
        self._tree = repository[commit].peel(pygit2.Tree)
        self._paths: list[str] | None = None

    def paths(self) -> Sequence[str]:
        """All files, sorted."""
        if self._paths is None:
            self._paths = sorted(self._walk(self._tree, ""))
        return self._paths

    def _walk(self, tree: pygit2.Tree, prefix: str) -> Iterator[str]:
        for entry in tree:
            # by mode, not by object type, so that no blob is opened
            if entry.filemode == pygit2.enums.FileMode.TREE:
                yield from self._walk(self._repository[entry.id], f"{prefix}{entry.name}/")
            elif entry.filemode in {pygit2.enums.FileMode.BLOB, pygit2.enums.FileMode.BLOB_EXECUTABLE}:
                yield prefix + entry.name

    def read(self, path: str) -> str | None:
        """A file's text, or None."""
        try:
            entry = self._tree[path]
        except KeyError:
            return None
        if not isinstance(entry, pygit2.Blob):
            return None
        data: bytes = entry.data
        return data.decode("utf-8", "surrogateescape")


class Repositories:
    """Finds each instance's repository and gives its snapshot.

    Searched in this order: bare mirrors in `mirrors`, clones in the cache, a new clone, the instance's image. Thread
    safe; several processes may share a cache.
    """

    def __init__(
        self,
        cache: Path,
        mirrors: Path | None = None,
        read_image: ReadGitFolder | None = None,
        clone_url: str = "https://github.com/{repo}.git",
    ) -> None:
        self._cache = cache
        self._mirrors = mirrors
        self._read_image = read_image
        self._clone_url = clone_url
        self._not_cloned: dict[str, str] = {}
        """Why a repository could not be cloned: said at once for its other instances."""

    def snapshot(self, instance: Instance) -> Snapshot:
        """The contents at the base commit. Raises `SourceError` saying what was tried."""
        tried = []
        for folder in self._local_candidates(instance):
            found = _snapshot(folder, instance.base_commit)
            if found is not None:
                return found
            if folder.exists():
                tried.append(f"{folder} lacks the commit")
        for obtain in (self._cloned, self._from_image):
            try:
                folder = obtain(instance)
            except SourceError as error:
                tried.append(str(error))
                continue
            found = _snapshot(folder, instance.base_commit)
            if found is not None:
                return found
            tried.append(f"{folder} lacks the commit")
        message = (
            f"{instance.instance_id}: no repository with {instance.repo} at {instance.base_commit[:12]} "
            f"({'; '.join(tried)}); clone it with `git clone --bare` into a folder and pass that as --repositories"
        )
        raise SourceError(message)

    def _local_candidates(self, instance: Instance) -> list[Path]:
        names = mirror_names(instance.repo)
        folders = [self._mirrors / name for name in names] if self._mirrors is not None else []
        return [*folders, self._clone_folder(instance.repo), self._image_folder(instance)]

    def _clone_folder(self, repo: str) -> Path:
        return self._cache / "repositories" / mirror_names(repo)[0]

    def _image_folder(self, instance: Instance) -> Path:
        return self._cache / "repositories" / "from-images" / f"{_safe(instance.instance_id)}.git"

    def _cloned(self, instance: Instance) -> Path:
        url = self._clone_url.format(repo=instance.repo)
        if url in self._not_cloned:
            raise SourceError(self._not_cloned[url])

        def clone(target: Path) -> None:
            # a line that carries nothing for a minute, or asks for a password, is no way to a repository
            slow = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "core.askPass=true")
            command = ["git", *slow, "clone", "--quiet", "--bare", "--", url, str(target)]
            try:
                done = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    timeout=CLONE_TIMEOUT,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                message = f"cannot clone {url}: {error}"
                raise SourceError(message) from error
            if done.returncode != 0:
                message = f"cannot clone {url}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
                raise SourceError(message)

        try:
            return self._made_once(self._clone_folder(instance.repo), clone)
        except SourceError as error:
            self._not_cloned[url] = str(error)
            raise

    def _from_image(self, instance: Instance) -> Path:
        if self._read_image is None:
            message = "no container engine to read the image with"
            raise SourceError(message)
        read_image = self._read_image

        def extract(target: Path) -> None:
            # git takes no folder without this one for a repository, and once its refs are packed it is empty
            (target / "refs").mkdir(parents=True)
            try:
                _extract_git_folder(io.BufferedReader(_Chunks(read_image(instance.image))), target)
            except (SandboxError, tarfile.TarError, OSError) as error:
                message = f"cannot read the repository in the image {instance.image}: {error}"
                raise SourceError(message) from error

        return self._made_once(self._image_folder(instance), extract)

    @staticmethod
    def _made_once(folder: Path, make: Callable[[Path], None]) -> Path:
        """Make a folder by way of a temporary one, so that an interrupted attempt leaves nothing half done."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            if not folder.exists():
                unfinished = f".new-{folder.name}-"
                for left in folder.parent.glob(f"{unfinished}*"):  # by a process that was killed: this one has the lock
                    shutil.rmtree(left)
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=unfinished) as temporary:
                    made = Path(temporary) / "repository"
                    make(made)
                    shutil.move(made, folder)
        return folder


def _extract_git_folder(stream: io.BufferedReader, target: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        # from 3.10.12 on; nothing but plain files is extracted in any case
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in archive:
            # only what git stores, never a hook or a link that leads elsewhere
            inside = member.name.partition("/")[2]
            if member.isfile() and ".." not in Path(inside).parts and not inside.startswith("hooks/"):
                member.name = inside
                member.mode = 0o644
                archive.extract(member, target)


def mirror_names(repo: str) -> list[str]:
    """Names under which a bare mirror of `owner/name` is looked for in a folder of mirrors."""
    owner, _, name = repo.partition("/")
    joined = [f"{owner}{separator}{name}" for separator in ("__", "+", "/", "-")]
    return [form + suffix for form in (*joined, name) for suffix in (".git", "", "/repo", "/.git")]


def _snapshot(folder: Path, commit: str) -> GitSnapshot | None:
    try:
        repository = pygit2.Repository(str(folder), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
        return GitSnapshot(repository, commit)
    except (pygit2.GitError, KeyError, ValueError):
        return None


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


class _Chunks(io.RawIOBase):
    """A stream of byte chunks as a file."""

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
