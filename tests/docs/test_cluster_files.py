"""The files for clusters: the job for Kubernetes has its number of shards in one place, and its options exist."""

from __future__ import annotations

import re
import shlex

import typer
import yaml

from swerl_eval.cli.app import app
from tests.docs.pages import ROOT

CLUSTER = ROOT / "docs" / "cluster"


def test_the_pods_of_the_kubernetes_job_are_the_shards() -> None:
    job = yaml.safe_load((CLUSTER / "shards.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert job["spec"]["completions"] == int(environment["SHARDS"])
    mounts = {mount["name"] for part in (container, *pod["initContainers"]) for mount in part["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_the_options_of_the_kubernetes_job_exist() -> None:
    job = yaml.safe_load((CLUSTER / "shards.yaml").read_text(encoding="utf-8"))
    (script,) = job["spec"]["template"]["spec"]["containers"][0]["args"]
    words = shlex.split(script.partition("exec ")[2])
    assert words[:2] == ["swerl-eval", "run"]
    known = {option for parameter in typer.main.get_command(app).commands["run"].params for option in parameter.opts}  # type: ignore[attr-defined]
    assert {word for word in words if re.match("-", word)} <= known
