"""Manifests for Kubernetes: a Deployment with its Service and autoscaler, and a ServiceMonitor. Pure."""

import math
from typing import Any

from unstuck.sizing.deployed import GRPC_PORT, MODELS, REST_PORT, STOP_S, USER, Deployed, document, joined

BUSY_PERCENT = 80  # of the CPU that is requested; at its rate a replica uses 70 %
PERIOD_S = 5
LEAST_TRIES = 12
LEAST_PROGRESS_S = 600
LEAVE_S = 5  # in which a Service learns that a pod stops

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
SECURITY = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def kubernetes(deployed: Deployed) -> str:
    """Deployment, Service and HorizontalPodAutoscaler."""
    volume = [] if deployed.is_remote else [f"The claim {deployed.claim} has the model as {deployed.file_name}."]
    return joined(
        [
            document([*deployed.why, *deployed.notes, *volume], _deployment(deployed)),
            document(["Where clients find it."], _service(deployed)),
            document(["More replicas where the rate grows."], _autoscaler(deployed)),
        ]
    )


def service_monitor(deployed: Deployed) -> str:
    """Has Prometheus read the metrics; for clusters with the Prometheus operator."""
    content = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(deployed),
        "spec": {
            "selector": {"matchLabels": labels(deployed)},
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
        },
    }
    return document(["For the Prometheus operator; your Prometheus may select monitors by further labels."], content)


def labels(deployed: Deployed) -> dict[str, str]:
    return {"app.kubernetes.io/name": "unstuck", "app.kubernetes.io/instance": deployed.name}


def resources(deployed: Deployed) -> dict[str, Any]:
    """What is requested is the limit: with just that it was tried."""
    amount = {"cpu": deployed.cpus, "memory": f"{deployed.memory_mib}Mi"}
    return {"requests": amount, "limits": amount}


def probes(deployed: Deployed, port: str | int) -> dict[str, Any]:
    """It may take three times as long to start as it did, and is not killed while it loads."""
    tries = max(math.ceil(3 * deployed.start_s / PERIOD_S), LEAST_TRIES)
    alive, ready = {"path": "/healthz", "port": port}, {"path": "/readyz", "port": port}
    return {
        "startupProbe": {"httpGet": alive, "periodSeconds": PERIOD_S, "failureThreshold": tries, "timeoutSeconds": 5},
        "readinessProbe": {"httpGet": ready, "periodSeconds": PERIOD_S, "failureThreshold": 2, "timeoutSeconds": 3},
        "livenessProbe": {"httpGet": alive, "periodSeconds": 10, "failureThreshold": 3, "timeoutSeconds": 5},
    }


def most_replicas(deployed: Deployed) -> int:
    return 2 * deployed.needs.replicas + 1


def _metadata(deployed: Deployed) -> dict[str, Any]:
    return {"name": deployed.name, "labels": labels(deployed)}


def _deployment(deployed: Deployed) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(deployed),
        "spec": {
            "replicas": deployed.needs.replicas,
            "selector": {"matchLabels": labels(deployed)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": max(math.ceil(5 * deployed.start_s), LEAST_PROGRESS_S),
            "template": {"metadata": {"labels": labels(deployed)}, "spec": _pod(deployed)},
        },
    }


def _pod(deployed: Deployed) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    if not deployed.is_remote:
        mounts.append({"name": "models", "mountPath": MODELS, "readOnly": True})
        claim = {"claimName": deployed.claim, "readOnly": True}
        volumes.append({"name": "models", "persistentVolumeClaim": claim})
    container = {
        "name": "unstuck",
        "image": deployed.image,
        "command": deployed.command,
        "ports": [{"name": "http", "containerPort": REST_PORT}, {"name": "grpc", "containerPort": GRPC_PORT}],
        "resources": resources(deployed),
        **probes(deployed, "http"),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVE_S)]}}},
        "securityContext": SECURITY,
        "volumeMounts": mounts,
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": STOP_S + LEAVE_S,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": volumes,
    }


def _service(deployed: Deployed) -> dict[str, Any]:
    ports = [
        {"name": "http", "port": REST_PORT, "targetPort": "http"},
        {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(deployed),
        "spec": {"selector": labels(deployed), "ports": ports},
    }


def _autoscaler(deployed: Deployed) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": BUSY_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(deployed),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployed.name},
            "minReplicas": deployed.needs.replicas,
            "maxReplicas": most_replicas(deployed),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
