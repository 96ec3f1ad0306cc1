"""Manifests fit their schemas, whatever the figures; and say what they should."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import ValidationError
from made_up_sizing import MIB, deployed, needs
from manifest_schemas import check, compose

from unstuck.sizing.deployed import Deployed
from unstuck.sizing.manifests import manifests

REMOTE = {"source": "s3://bucket/risk", "model": "risk"}


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def of_kind(kind: str, made: Deployed) -> Any:
    texts = [text for name, text in manifests(made).items() if name != "docker-compose.yaml"]
    (found,) = [each for text in texts for each in documents(text) if each["kind"] == kind]
    return found


def service(made: Deployed) -> Any:
    ((name, found),) = documents(manifests(made)["docker-compose.yaml"])[0]["services"].items()
    assert name == made.name
    return found


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=80)
any_deployed = st.builds(
    deployed,
    model=names,
    source=st.sampled_from(["/srv/risk", "/srv/a b/ä.onnx", "s3://bucket/models/risk", "gs://b/m/"]),
    image=st.sampled_from(["unstuck:0.1.0", "registry.example.org:5000/team/unstuck@sha256:" + "0" * 64]),
    start_s=st.floats(0, 5000),
    flags=st.lists(st.sampled_from(["--engine=auto", "--pipeline_file=/a b.yaml", "--model_name=on"]), max_size=2),
    needs=st.builds(
        needs,
        replicas=st.integers(1, 10_000),
        rate=st.floats(0.001, 1e6),
        cpus=st.floats(0.05, 512),
        memory_bytes=st.integers(1, 1 << 42),
        workers=st.integers(0, 64),
    ),
    why=st.lists(st.text(max_size=60), max_size=3),
)


@given(any_deployed)
@settings(max_examples=15)
def test_they_fit_their_schemas(made: Deployed) -> None:
    files = manifests(made)
    (composed,) = documents(files.pop("docker-compose.yaml"))
    compose().validate(composed)
    for text in files.values():
        for document in documents(text):
            check(document)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ["spec", "replicaz"], 1),
        ("Deployment", ["spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet", "prot"], 1),
        ("HorizontalPodAutoscaler", ["spec", "maxReplicas"], "many"),
        ("ServiceMonitor", ["spec", "endpoints", 0, "intervall"], "15s"),
        ("ServingRuntime", ["spec", "containers", 0, "resources", "limit"], {}),
        ("ServingRuntime", ["spec", "supportedModelFormats", 0, "autoselect"], True),
        ("InferenceService", ["spec", "predictor", "model", "storageURI"], "pvc://a"),
        ("InferenceService", ["spec", "predictor", "minReplicas"], "1"),
    ],
)
def test_the_schemas_refuse_what_does_not_fit(kind: str, path: list[Any], value: Any) -> None:
    document = of_kind(kind, deployed())
    check(document)
    *way, last = path
    inner = document
    for step in way:
        inner = inner[step]
    inner[last] = value
    with pytest.raises(ValidationError):
        check(document)


def test_composes_schema_refuses_what_does_not_fit() -> None:
    (document,) = documents(manifests(deployed())["docker-compose.yaml"])
    document["services"]["risk"]["healthchek"] = {}
    with pytest.raises(ValidationError):
        compose().validate(document)


def test_each_is_given_what_it_needs() -> None:
    made = deployed(needs=needs(replicas=3, cpus=0.85, memory_bytes=720 * MIB))
    exact = {"cpu": "850m", "memory": "720Mi"}
    deployment, runtime = of_kind("Deployment", made), of_kind("ServingRuntime", made)
    for container in (deployment["spec"]["template"]["spec"]["containers"][0], runtime["spec"]["containers"][0]):
        assert container["resources"] == {"requests": exact, "limits": exact}
    limits = service(made)["deploy"]["resources"]["limits"]
    assert limits == {"cpus": "0.85", "memory": "720M"}  # Docker's M is Kubernetes' Mi
    assert deployment["spec"]["replicas"] == 3
    assert of_kind("HorizontalPodAutoscaler", made)["spec"]["minReplicas"] == 3
    predictor = of_kind("InferenceService", made)["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 7)


def test_what_is_selected_is_what_is_labelled() -> None:
    made = deployed()
    deployment, found = of_kind("Deployment", made), of_kind("Service", made)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == found["spec"]["selector"]
    assert of_kind("ServiceMonitor", made)["spec"]["selector"]["matchLabels"] == found["metadata"]["labels"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"http": 8501, "grpc": 8500}
    assert of_kind("ServiceMonitor", made)["spec"]["endpoints"][0]["port"] in ports
    reference = of_kind("HorizontalPodAutoscaler", made)["spec"]["scaleTargetRef"]
    assert reference == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
    runtime = of_kind("InferenceService", made)["spec"]["predictor"]["model"]["runtime"]
    assert runtime == of_kind("ServingRuntime", made)["metadata"]["name"]


def test_nothing_may_be_written_but_tmp_and_by_no_root() -> None:
    pod = of_kind("Deployment", deployed())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")] == ["/tmp"]
    found = service(deployed())
    assert (found["read_only"], found["cap_drop"], found["user"]) == (True, ["ALL"], "10001:10001")
    assert [each["read_only"] for each in found["volumes"]] == [True]


def test_probes() -> None:
    (container,) = of_kind("Deployment", deployed(start_s=100.0))["spec"]["template"]["spec"]["containers"]
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 300  # three times what it took


def test_the_model_comes_from_a_volume_or_from_its_store() -> None:
    assert service(deployed())["volumes"][0]["source"] == "/srv/models/risk"
    assert service(deployed())["entrypoint"][:3] == ["unstuck", "serve", "risk=/models/risk"]
    assert of_kind("InferenceService", deployed())["spec"]["predictor"]["model"]["storageUri"] == "pvc://models/risk"
    remote = deployed(**REMOTE)
    assert service(remote)["entrypoint"][2] == "risk=s3://bucket/risk"
    assert service(remote)["volumes"] == [{"type": "volume", "source": "cache", "target": "/tmp"}]
    pod = of_kind("Deployment", remote)["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["volumes"]] == ["tmp"]
    assert of_kind("InferenceService", remote)["spec"]["predictor"]["model"]["storageUri"] == "s3://bucket/risk"


def test_an_onnx_file() -> None:
    made = deployed(source="/srv/risk.onnx")
    assert service(made)["entrypoint"][2] == "risk=/models/risk.onnx"
    runtime = of_kind("ServingRuntime", made)["spec"]
    assert runtime["supportedModelFormats"][0]["name"] == "onnx"
    assert "--model_base_path=/mnt/models/risk.onnx" in runtime["containers"][0]["args"]


def test_flags_and_workers_are_the_servers() -> None:
    made = deployed(flags=["--engine=auto"], needs=needs(workers=4))
    assert service(made)["entrypoint"][-2:] == ["--workers=4", "--engine=auto"]


def test_a_path_is_no_variable_of_compose() -> None:
    assert service(deployed(source="/srv/$HOME/m"))["volumes"][0]["source"] == "/srv/$$HOME/m"


@pytest.mark.parametrize(
    ("model", "name"), [("Risk_1", "risk-1"), ("2nd", "model-2nd"), ("é", "model"), ("a" * 80, "a" * 50), ("x--", "x")]
)
def test_names_are_as_kubernetes_takes_them(model: str, name: str) -> None:
    assert deployed(model=model).name == name


def test_the_figures_are_in_comments() -> None:
    for name, text in manifests(deployed(why=["memory: 720 MiB\nbecause # of it"])).items():
        if name != "servicemonitor.yaml":
            assert text.startswith("# memory: 720 MiB because # of it\n# The image is built by: docker build")
