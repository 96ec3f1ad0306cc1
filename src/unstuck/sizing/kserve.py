"""Manifests for KServe: a ServingRuntime, and an InferenceService that uses it. Pure."""

from typing import Any

from unstuck.sizing.deployed import Deployed, document, joined
from unstuck.sizing.kubernetes import BUSY_PERCENT, SECURITY, most_replicas, probes, resources

# KServe's own runtime for TensorFlow has these ports and this folder.
GRPC_PORT, REST_PORT = 9000, 8080
MODELS = "/mnt/models"
FORMATS = {".onnx": "onnx", ".tflite": "tflite"}
TENSORFLOW = "tensorflow"


def kserve(deployed: Deployed) -> str:
    """ServingRuntime and InferenceService."""
    source = "" if deployed.is_remote else f"The claim {deployed.claim} has the model as {deployed.file_name}."
    return joined(
        [
            document([*deployed.why, *deployed.notes, *([source] if source else [])], _runtime(deployed)),
            document(["KServe copies the model from storageUri into the pod."], _inference_service(deployed)),
        ]
    )


def _format(deployed: Deployed) -> str:
    return next((name for ending, name in FORMATS.items() if deployed.file_name.endswith(ending)), TENSORFLOW)


def _base_path(deployed: Deployed) -> str:
    """KServe puts a folder's content there, or a file."""
    return f"{MODELS}/{deployed.file_name}" if deployed.file_name.endswith(tuple(FORMATS)) else MODELS


def _runtime(deployed: Deployed) -> dict[str, Any]:
    container = {
        "name": "kserve-container",
        "image": deployed.image,
        "command": ["unstuck", "serve"],
        "args": [
            "--model_name={{.Name}}",  # KServe's: the InferenceService's name
            f"--model_base_path={_base_path(deployed)}",
            *deployed.serve_flags(GRPC_PORT, REST_PORT),
        ],
        "ports": [{"containerPort": REST_PORT, "protocol": "TCP"}],
        "resources": resources(deployed),
        **probes(deployed, REST_PORT),
        "securityContext": {**SECURITY, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": f"{deployed.name}-runtime"},
        "spec": {
            "annotations": {"prometheus.kserve.io/port": str(REST_PORT), "prometheus.kserve.io/path": "/metrics"},
            "supportedModelFormats": [{"name": _format(deployed), "autoSelect": False}],
            "protocolVersions": ["v1", "grpc-v1"],
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def _inference_service(deployed: Deployed) -> dict[str, Any]:
    where = deployed.source if deployed.is_remote else f"pvc://{deployed.claim}/{deployed.file_name}"
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": deployed.name, "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"}},
        "spec": {
            "predictor": {
                "minReplicas": deployed.needs.replicas,
                "maxReplicas": most_replicas(deployed),
                "scaleMetric": "cpu",
                "scaleTarget": BUSY_PERCENT,
                "model": {
                    "modelFormat": {"name": _format(deployed)},
                    "runtime": f"{deployed.name}-runtime",
                    "storageUri": where,
                },
            }
        },
    }
