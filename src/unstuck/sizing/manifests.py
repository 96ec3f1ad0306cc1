"""All manifests, by the names of their files. Pure."""

from unstuck.sizing.compose import compose
from unstuck.sizing.deployed import Deployed
from unstuck.sizing.kserve import kserve
from unstuck.sizing.kubernetes import kubernetes, service_monitor


def manifests(deployed: Deployed) -> dict[str, str]:
    return {
        "docker-compose.yaml": compose(deployed),
        "kubernetes.yaml": kubernetes(deployed),
        "servicemonitor.yaml": service_monitor(deployed),
        "kserve.yaml": kserve(deployed),
    }
