"""A Slurm cluster of one node, from Debian's packages `slurm-wlm` and `munge`, for root."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue")
START_SECONDS = 240
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=30
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


class Slurm:
    """A running cluster.

    Args:
        environment: Lets Slurm's commands reach it.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def submit(self, *arguments: str, folder: Path, **environment: str) -> int:
        """Submit a job; returns its number."""
        done = self._command("sbatch", "--parsable", *arguments, folder=folder, **environment)
        return int(done)

    def cancel(self, job: str) -> None:
        """Cancel a job, or a task of an array (`7_2`)."""
        self._command("scancel", job)

    def wait(self, job: int, seconds: float) -> dict[int, str]:
        """Wait until a job's tasks have ended; returns the state of each."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self._command("scontrol", "--oneliner", "show", "job", str(job))
            states = {int(task): state for task, state in re.findall(r"ArrayTaskId=(\d+) .*?JobState=(\w+)", shown)}
            if states and not set(states.values()) & {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING"}:
                return states
            time.sleep(0.5)
        message = f"job {job} has not ended in {seconds} s: {shown}"
        raise TimeoutError(message)

    def _command(self, *command: str, folder: Path | None = None, **environment: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env=self.environment | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Run a cluster whose files are in a folder."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    assert not missing, f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    for name in ("state", "spool", "log", "run", "munge"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    controller, daemon = _free_ports(2)
    configuration.write_text(
        CONFIGURATION.format(host=host, folder=folder, controller=controller, daemon=daemon, cpus=os.cpu_count())
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge/socket"]
    munge += [f"--pid-file={folder}/run/munge.pid", f"--log-file={folder}/log/munge.log"]
    munge += [f"--seed-file={folder}/run/munge.seed"]
    with ExitStack() as stack:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            output = stack.enter_context((folder / "log" / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            if command is munge:
                _wait_until(lambda: (folder / "munge" / "socket").exists())
        _wait_until(lambda: "idle" in _nodes(environment))
        yield Slurm(environment)


def _nodes(environment: dict[str, str]) -> str:
    command = ["sinfo", "--noheader", "--format=%T"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end, "Slurm has not started"
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
