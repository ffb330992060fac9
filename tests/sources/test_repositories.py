"""A repository's contents at a commit: from a mirror, a clone, an image."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError, SourceError
from swerl_eval.core.types import Instance
from swerl_eval.ports import Snapshot
from swerl_eval.sources.repositories import Repositories, mirror_names

NOWHERE = "/nonexistent/{repo}"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.invalid", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two commits, tagged `one` and `two`."""
    folder = tmp_path_factory.mktemp("origin") / "o" / "n"
    (folder / "pkg").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "pkg" / "a.py").write_bytes(b"x = 1\r\n\xff")
    (folder / "b.txt").write_text("é\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link.py").symlink_to("pkg/a.py")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "one")
    git(folder, "tag", "one")
    (folder / "pkg" / "a.py").write_text("x = 2\n")
    git(folder, "commit", "--quiet", "-am", "two")
    git(folder, "tag", "two")
    return folder


@pytest.fixture(scope="session")
def instance(work: Path) -> Instance:
    return Instance("o__n-1", "o/n", git(work, "rev-parse", "one"), "It fails.", "registry/o__n-1")


def bare(work: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    git(work, "clone", "--quiet", "--bare", str(work), str(target))
    return target


def tar_of(folder: Path, chunk: int = 1000) -> Iterator[bytes]:
    """A folder as `docker cp` gives it: a tar stream under the folder's own name, in chunks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".git")
    content = buffer.getvalue()
    for start in range(0, len(content), chunk):
        yield content[start : start + chunk]


def snapshot(repositories: Repositories, instance: Instance) -> Snapshot:
    return anyio.run(repositories.snapshot, instance)


def complaint(repositories: Repositories, instance: Instance) -> str:
    with pytest.raises(SourceError) as caught:
        snapshot(repositories, instance)
    return str(caught.value)


# -- what a snapshot shows


def test_a_snapshot_lists_the_files_of_the_commit_sorted_without_links(tmp_path: Path, work: Path, instance: Instance):
    found = snapshot(Repositories(tmp_path, clone_url=str(work)), instance)
    assert found.paths() == ["b.txt", "pkg/a.py", "run.sh"]


def test_a_snapshot_reads_texts_of_that_commit_to_the_byte(tmp_path: Path, work: Path, instance: Instance):
    found = snapshot(Repositories(tmp_path, clone_url=str(work)), instance)
    assert found.read("pkg/a.py") == "x = 1\r\n\udcff"
    assert found.read("b.txt") == "é\n"
    later = dataclasses.replace(instance, base_commit=git(work, "rev-parse", "two"))
    assert snapshot(Repositories(tmp_path, clone_url=str(work)), later).read("pkg/a.py") == "x = 2\n"


@pytest.mark.parametrize(
    "path", ["none.py", "pkg", "pkg/", "", "/b.txt", "./b.txt", "../b.txt", "b.txt/x", "pkg//a.py", "b\0.txt"]
)
def test_what_is_no_file_of_the_commit_has_no_text(tmp_path: Path, work: Path, instance: Instance, path: str):
    assert snapshot(Repositories(tmp_path, clone_url=str(work)), instance).read(path) is None


# -- mirrors


@pytest.mark.parametrize("name", mirror_names("o/n"))
def test_a_mirror_is_found_under_each_of_its_names(tmp_path: Path, work: Path, instance: Instance, name: str):
    mirrors = tmp_path / "mirrors"
    bare(work, mirrors / name)
    repositories = Repositories(tmp_path / "cache", mirrors, clone_url=NOWHERE)
    assert snapshot(repositories, instance).read("b.txt") == "é\n"
    assert not (tmp_path / "cache").exists()


def test_the_names_of_mirrors_are_those_in_use():
    names = mirror_names("o/n")
    assert {"o__n.git", "o+n.git", "o/n.git", "o-n.git", "n.git", "o__n", "o+n", "o/n", "n"} <= set(names)
    assert {"o+n/repo", "o/n/.git"} <= set(names)
    assert names[0] == "o__n.git"


def test_a_checkout_serves_as_a_mirror(work: Path, tmp_path: Path, instance: Instance):
    repositories = Repositories(tmp_path, work.parent.parent, clone_url=NOWHERE)
    assert snapshot(repositories, instance).read("b.txt") == "é\n"


def test_a_mirror_that_lacks_the_commit_is_passed_over_for_one_that_has_it(
    tmp_path: Path, work: Path, instance: Instance
):
    mirrors = tmp_path / "mirrors"
    git(tmp_path, "init", "--quiet", "--bare", str(mirrors / "o__n.git"))
    bare(work, mirrors / "n.git")
    assert snapshot(Repositories(tmp_path / "cache", mirrors, clone_url=NOWHERE), instance).paths()


# -- clones


def test_a_repository_is_cloned_once_and_then_found_in_the_cache(tmp_path: Path, work: Path, instance: Instance):
    cache = tmp_path / "cache"
    assert snapshot(Repositories(cache, clone_url=str(work.parent.parent) + "/{repo}"), instance).paths()
    assert (cache / "repositories" / "o__n.git" / "HEAD").is_file()
    assert snapshot(Repositories(cache, clone_url=NOWHERE), instance).paths()


def test_a_file_address_is_cloned(tmp_path: Path, work: Path, instance: Instance):
    assert snapshot(Repositories(tmp_path, clone_url=work.as_uri()), instance).read("b.txt") == "é\n"


def test_an_interrupted_clone_leaves_nothing_half_done(tmp_path: Path, instance: Instance):
    complaint(Repositories(tmp_path, clone_url=NOWHERE), instance)
    left = [path.name for path in (tmp_path / "repositories").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_many_tasks_make_one_clone(tmp_path: Path, work: Path, instance: Instance):
    repositories = Repositories(tmp_path, clone_url=str(work))
    found: list[Snapshot] = []

    async def read() -> None:
        async def one() -> None:
            found.append(await repositories.snapshot(instance))

        async with anyio.create_task_group() as group:
            for _ in range(60):  # more than there are threads
                group.start_soon(one)

    anyio.run(read)
    assert [each.read("b.txt") for each in found] == ["é\n"] * 60
    folders = [path for path in (tmp_path / "repositories").iterdir() if path.is_dir()]
    assert [path.name for path in folders] == ["o__n.git"]


# -- images


class Images:
    """Gives a folder as every image's repository, and remembers what was asked for."""

    def __init__(self, folder: Path, chunk: int = 1000) -> None:
        self.folder = folder
        self.chunk = chunk
        self.asked: list[str] = []

    def __call__(self, image: str, stop: threading.Event) -> Iterator[bytes]:
        self.asked.append(image)
        return tar_of(self.folder, self.chunk)


@pytest.mark.parametrize("chunk", [7, 1000, 1 << 20])
def test_a_repository_is_read_from_the_instance_s_image_once(
    tmp_path: Path, work: Path, instance: Instance, chunk: int
):
    images = Images(work / ".git", chunk)
    for _ in range(2):
        repositories = Repositories(tmp_path, None, images, clone_url=NOWHERE)
        assert snapshot(repositories, instance).paths() == ["b.txt", "pkg/a.py", "run.sh"]
    assert images.asked == ["registry/o__n-1"]


def test_an_image_whose_repository_is_packed_is_read(tmp_path: Path, work: Path, instance: Instance):
    packed = tmp_path / "packed"
    shutil.copytree(work, packed, symlinks=True)
    git(packed, "checkout", "--quiet", "--detach", "one")
    git(packed, "gc", "--quiet")
    git(packed, "pack-refs", "--all")
    assert [path for path in (packed / ".git" / "refs").rglob("*") if path.is_file()] == []
    repositories = Repositories(tmp_path / "cache", None, Images(packed / ".git"), clone_url=NOWHERE)
    assert snapshot(repositories, instance).read("b.txt") == "é\n"


def test_hooks_and_links_of_an_image_s_repository_are_left_behind(tmp_path: Path, work: Path, instance: Instance):
    evil = tmp_path / "evil"
    shutil.copytree(work / ".git", evil)
    (evil / "hooks").mkdir(exist_ok=True)
    (evil / "hooks" / "post-checkout").write_text("#!/bin/sh\n")
    (evil / "link").symlink_to("/etc/passwd")

    def read_image(image: str, stop: threading.Event) -> Iterator[bytes]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(evil, arcname=".git")
            for name in (".git/../../outside", ".git/../outside"):
                member = tarfile.TarInfo(name)
                member.size = 1
                archive.addfile(member, io.BytesIO(b"x"))
        yield buffer.getvalue()

    cache = tmp_path / "cache"
    assert snapshot(Repositories(cache, None, read_image, clone_url=NOWHERE), instance).paths()
    made = {path.name for path in cache.rglob("*")}
    assert {"HEAD", "objects", "refs"} <= made
    assert made.isdisjoint({"post-checkout", "link", "outside"})
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("failure", [EngineUnavailableError("no engine"), ImageMissingError("no image")])
def test_where_no_image_can_be_read_the_repository_is_cloned(
    tmp_path: Path, work: Path, instance: Instance, failure: SandboxError
):
    def read_image(image: str, stop: threading.Event) -> Iterator[bytes]:
        raise failure

    assert snapshot(Repositories(tmp_path, None, read_image, clone_url=str(work)), instance).paths()


@pytest.mark.parametrize("stream", [[], [b""], [b"no tar" * 200]], ids=["nothing", "empty", "no tar"])
def test_where_an_image_gives_no_repository_it_is_cloned(
    tmp_path: Path, work: Path, instance: Instance, stream: list[bytes]
):
    assert snapshot(Repositories(tmp_path, None, lambda *_: iter(stream), clone_url=str(work)), instance).paths()


def test_a_stream_that_breaks_off_leaves_nothing_half_done(tmp_path: Path, work: Path, instance: Instance):
    def broken(image: str, stop: threading.Event) -> Iterator[bytes]:
        yield from list(tar_of(work / ".git"))[:20]
        message = "the engine went away"
        raise EngineUnavailableError(message)

    said = complaint(Repositories(tmp_path, None, broken, clone_url=NOWHERE), instance)
    assert "cannot read the repository in the image registry/o__n-1: the engine went away" in said
    left = [path.name for path in (tmp_path / "repositories" / "from-images").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


# -- nothing found


def test_an_error_says_what_was_tried_and_the_remedy(tmp_path: Path, work: Path, instance: Instance):
    mirror = bare(work, tmp_path / "mirrors" / "o__n.git")
    unknown = dataclasses.replace(instance, base_commit="d" * 40)
    repositories = Repositories(tmp_path / "cache", tmp_path / "mirrors", clone_url=NOWHERE)
    said = complaint(repositories, unknown)
    assert said.startswith(
        f"o__n-1: no repository with o/n at dddddddddddd ({mirror} lacks the commit; cannot clone /nonexistent/o/n: "
    )
    assert "; no container engine to read the image with)" in said
    assert said.endswith("clone it with `git clone --bare` into a folder and pass that as --repositories")


def test_a_clone_and_an_image_that_lack_the_commit_are_named(tmp_path: Path, work: Path, instance: Instance):
    unknown = dataclasses.replace(instance, base_commit="d" * 40)
    said = complaint(Repositories(tmp_path, None, Images(work / ".git"), clone_url=str(work)), unknown)
    folder = tmp_path / "repositories"
    assert f"{folder / 'o__n.git'} lacks the commit, and so does {work}; " in said
    assert f"{folder / 'from-images' / 'o__n-1.git'} lacks the commit" in said


@pytest.mark.parametrize("commit", ["", "not a commit", "z" * 40, "HEAD^{blob}"])
def test_a_commit_that_is_none_is_not_found(tmp_path: Path, work: Path, instance: Instance, commit: str):
    odd = dataclasses.replace(instance, base_commit=commit)
    said = complaint(Repositories(tmp_path, clone_url=str(work)), odd)
    assert re.search(r"o__n\.git lacks the commit, and (so does|cannot fetch it from \S+: fatal: )", said)
