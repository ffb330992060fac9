"""Patches that want more than their share, or out."""

from __future__ import annotations

from pathlib import Path

from hostile_patches import (
    FAILED,
    LEFT_SECONDS,
    MARKER,
    PORT,
    REACHED,
    RESOLVED,
    TELL,
    TIMED_OUT,
    Link,
    Patch,
    in_package,
    new_file,
)

NETWORK = f"""
import socket

with open("/proc/net/route") as routes:
    gateways = [line.split()[2] for line in routes][1:]
hosts = [socket.inet_ntoa(bytes.fromhex(gateway)[::-1]) for gateway in gateways if int(gateway, 16)]
for address in [*((host, {PORT}) for host in hosts), ("1.1.1.1", 53)]:
    try:
        socket.create_connection(address, timeout=2).close()
        _tell(f"{REACHED} {{address}}\\n")
    except OSError:
        pass
"""
SOCKET = f"""
import socket

for path in ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"]:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        _tell(f"{REACHED} {{path}}\\n")
    except OSError:
        pass
"""
HOST_FILES = f"""
import subprocess

subprocess.run("mkdir -p /host; for each in /dev/vd* /dev/sd* /dev/nvme*; do mount $each /host; done", shell=True)
subprocess.run("mknod /disk b 254 0 && dd if=/disk of=/dev/null count=1 && echo > /host/disk", shell=True)
subprocess.run("nsenter -t 1 -m touch {MARKER}; chroot /proc/1/root touch {MARKER}", shell=True)
if os.path.exists("/host") and os.listdir("/host"):
    _tell(f"{REACHED} {{os.listdir('/host')}}\\n")
for root in ["/proc/1/root", "/proc/1/cwd", "/testbed/out"]:
    try:
        open(f"{{root}}{MARKER}", "w").close()
    except OSError:
        pass
"""
CHMOD = """
import os
import stat

for path in ["/testbed/tests", "/testbed/.git", "/eval.sh", "/usr/bin/git", "/bin/rm"]:
    if os.path.exists(path):
        os.chmod(path, 0)
        os.chmod(path, stat.S_ISUID | 0o777)
"""

ESCAPING: tuple[Patch, ...] = (
    Patch("reaches for the network", "escaping", in_package(TELL + NETWORK), gold=True, verdict=RESOLVED),
    Patch("reaches for the engine's socket", "escaping", in_package(TELL + SOCKET), gold=True, verdict=RESOLVED),
    Patch(
        "reaches for the host's files",
        "escaping",
        in_package(TELL + HOST_FILES),
        gold=True,
        verdict=RESOLVED,
        official=None,
        why="its containers have the capability SYS_ADMIN, and may mount",
    ),
    Patch(
        "link out of the repository",
        "escaping",
        {"out": Link("/"), **in_package(f'import os\n\nos.system("touch /testbed/out{MARKER}")\n')},
        gold=True,
        verdict=RESOLVED,
        flag="is a symbolic link",
    ),
    Patch(
        "writes through a link",
        "escaping",
        {"out": Link("/var/tmp")},
        change=lambda text: text + new_file(f"out/{Path(MARKER).name}", "x"),
        verdict=FAILED,
        flag="is a symbolic link",
    ),
    Patch(
        "path above the repository",
        "escaping",
        change=lambda _: new_file(f"../..{MARKER}", "x"),
        verdict=FAILED,
        flag="outside of the repository",
    ),
    Patch(
        "absolute path",
        "escaping",
        change=lambda _: new_file(MARKER, "x").replace(f"a/{MARKER}", MARKER).replace(f"b/{MARKER}", MARKER),
        flag="outside of the repository",
    ),
    Patch("changes modes", "escaping", in_package(CHMOD), gold=True, verdict=RESOLVED),
    Patch("kills every process", "escaping", in_package("import os\n\nos.kill(-1, 9)\n")),
)

BACKGROUND = f"""
import os
import subprocess

output, errors = (open(f"/proc/{{os.getppid()}}/fd/{{number}}", "w") for number in (1, 2))
subprocess.Popen(["sleep", "{LEFT_SECONDS}"], stdout=output, stderr=errors, start_new_session=True)
if subprocess.os.fork() == 0:
    subprocess.os.setsid()
    subprocess.os.execvp("sleep", ["sleep", "{LEFT_SECONDS}"])
"""


def printing(megabytes: int) -> str:
    """Code that prints lines of 100 bytes when the tests import it."""
    return f'{TELL}for _ in range({megabytes}):\n    _tell(("w" * 99 + "\\n") * 10_000)\n'


FORKS = """
import os
import time

while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.2)
"""
DISK = """
import time

number = 0
while True:
    number += 1
    with open(f"/filler{number}", "wb") as output:
        output.write(bytes(20_000_000))
    time.sleep(0.1)
"""
MACHINE = "it has no limits, and would take the machine down"

GREEDY: tuple[Patch, ...] = (
    Patch("endless loop", "greedy", in_package("while True:\n    pass\n"), verdict=TIMED_OUT),
    Patch("fork bomb", "greedy", in_package(FORKS), verdict=TIMED_OUT, official=None, why=MACHINE),
    Patch(
        "memory bomb",
        "greedy",
        in_package("held = []\nwhile True:\n    held.append(bytearray(b'x') * 10_000_000)\n"),
        official=None,
        why=MACHINE,
    ),
    Patch("disk filler", "greedy", in_package(DISK), official=None, why=MACHINE),
    Patch(
        "endless output",
        "greedy",
        in_package(f'{TELL}while True:\n    _tell("z" * 1_000_000 + "\\n")\n'),
        verdict=TIMED_OUT,
        official=None,
        why="it holds the output in memory, and takes minutes for 100 MB of it",
    ),
    Patch(
        "100 MB of output",
        "greedy",
        in_package(printing(100)),
        gold=True,
        verdict=RESOLVED,
        official=None,
        why="it takes minutes for this",
    ),
    Patch(
        "output without newlines", "greedy", in_package(f'{TELL}_tell("v" * 3_000_000)\n'), gold=True, verdict=RESOLVED
    ),
    Patch(
        "processes that outlive the run",
        "greedy",
        in_package(BACKGROUND),
        gold=True,
        verdict=RESOLVED,
    ),
    Patch(
        "10 MB patch",
        "greedy",
        {"inkwell/data.txt": "".join(f"{number:099}\n" for number in range(100_000))},
        gold=True,
        verdict=RESOLVED,
    ),
    Patch(
        "2,000 files",
        "greedy",
        {f"data/{number // 100}/{number}.txt": f"{number}\n" for number in range(2000)},
        gold=True,
        verdict=RESOLVED,
    ),
)
