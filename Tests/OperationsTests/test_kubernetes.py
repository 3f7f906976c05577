"""The manifest: by Kubernetes' own schemas, and by what it promises."""

import re
import subprocess

import pytest
import yaml

from keeper import ROOT
from places import OPERATIONS, TOOLS

MANIFEST = OPERATIONS / "kubernetes/agentkeeper.yaml"
OBJECTS = {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}
POD = OBJECTS["StatefulSet"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


# gRPC probes are in every one of them.
@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_it_is_valid_by_kubernetes_own_schemas(version):
    done = subprocess.run(
        [TOOLS / "kubernetes-validate", "--strict", "-k", version, MANIFEST], capture_output=True, text=True
    )
    assert done.returncode == 0 and (done.stdout + done.stderr).count(" passed for ") == len(OBJECTS), done.stdout + done.stderr


def test_a_word_that_kubernetes_does_not_know_is_found(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MANIFEST.read_text().replace("readOnlyRootFilesystem", "readonlyRootFilesystem"))
    done = subprocess.run([TOOLS / "kubernetes-validate", "--strict", wrong], capture_output=True, text=True)
    assert done.returncode != 0 and "readonlyRootFilesystem" in done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(OPERATIONS.rglob("*.y*ml")), ids=lambda path: path.name)
def test_yamllint_has_nothing_to_say(path):
    rules = "{extends: default, rules: {line-length: disable, document-start: disable, braces: disable, comments: {min-spaces-from-content: 1}}}"
    done = subprocess.run([TOOLS / "yamllint", "--strict", "-d", rules, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_as_the_images_user_with_nothing_that_it_does_not_need():
    user = int(re.search(r"^USER (\d+)", (OPERATIONS / "docker/Dockerfile").read_text(), re.MULTILINE)[1])
    security = POD["securityContext"]
    assert security["runAsNonRoot"] and {security[each] for each in ("runAsUser", "runAsGroup", "fsGroup")} == {user}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"} and POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_state_is_on_the_claimed_disk_and_one_daemon_has_it():
    variables = {each["name"]: each["value"] for each in CONTAINER["env"]}
    mounts = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}
    (claim,) = OBJECTS["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert variables["AGENTKEEPER_DATA_DIR"].startswith(mounts[claim["metadata"]["name"]] + "/")
    assert OBJECTS["StatefulSet"]["spec"]["replicas"] == 1 and claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_ports_labels_and_probes_agree():
    ports = {each["name"]: each["containerPort"] for each in CONTAINER["ports"]}
    variables = {each["name"]: each["value"] for each in CONTAINER["env"]}
    assert variables["AGENTKEEPER_ADDR"] == f":{ports['grpc']}" and variables["AGENTKEEPER_METRICS_ADDR"] == f":{ports['metrics']}"
    assert all(CONTAINER[f"{probe}Probe"]["grpc"]["port"] == ports["grpc"] for probe in ("startup", "readiness", "liveness"))
    assert {each["targetPort"] for each in OBJECTS["Service"]["spec"]["ports"]} == set(ports)
    labels = OBJECTS["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Service"]["spec"]["selector"] == labels == OBJECTS["StatefulSet"]["spec"]["selector"]["matchLabels"]
    assert OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_nobody_but_agents_reaches_the_port_and_it_is_given_time_to_end():
    rules = OBJECTS["NetworkPolicy"]["spec"]
    assert set(rules["policyTypes"]) == {"Ingress", "Egress"} and "egress" not in rules
    (agents,) = [rule for rule in rules["ingress"] if {"port": "grpc"} in rule["ports"]]
    assert agents["from"] == [{"podSelector": {"matchLabels": {"agentkeeper-client": "true"}}}]
    ends_within = int(re.search(r"exits with 0 within (\d+) seconds", (ROOT / "README.md").read_text())[1])
    assert POD["terminationGracePeriodSeconds"] > ends_within
