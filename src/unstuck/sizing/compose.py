"""``docker-compose.yaml``. Pure."""

import math
from typing import Any

from unstuck.sizing.deployed import GRPC_PORT, REST_PORT, STOP_S, USER, Deployed, document

TMP = "/tmp"
TMP_SIZE = "64m"


def compose(deployed: Deployed) -> str:
    """The model as one service."""
    amount = {"cpus": f"{deployed.needs.cpus:g}", "memory": f"{deployed.memory_mib}M"}
    service: dict[str, Any] = {
        "image": deployed.image,
        "entrypoint": deployed.command,
        "ports": [f"{REST_PORT}:{REST_PORT}", f"{GRPC_PORT}:{GRPC_PORT}"],
        "user": f"{USER}:{USER}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "deploy": {"resources": {"limits": amount, "reservations": amount}},
        "healthcheck": {
            "test": ["CMD", "unstuck", "health"],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{math.ceil(3 * deployed.start_s)}s",
        },
        "stop_grace_period": f"{STOP_S}s",
        "restart": "unless-stopped",
        **_files(deployed),
    }
    comment = [*deployed.why, *deployed.notes, *_replicas(deployed)]
    content: dict[str, Any] = {"services": {deployed.name: service}}
    if deployed.is_remote:
        content["volumes"] = {"cache": {}}
    return document(comment, content)


def _files(deployed: Deployed) -> dict[str, Any]:
    """The model, and where copies of remote ones are kept: not in memory, as a tmpfs would keep them."""
    if deployed.is_remote:
        return {"volumes": [{"type": "volume", "source": "cache", "target": TMP}]}
    model = {"type": "bind", "source": _escaped(deployed.source), "target": deployed.path, "read_only": True}
    return {"volumes": [model], "tmpfs": [f"{TMP}:size={TMP_SIZE}"]}


def _replicas(deployed: Deployed) -> list[str]:
    count = deployed.needs.replicas
    return [f"This is one replica of {count}: run each on a machine of its own, behind a balancer."] * (count > 1)


def _escaped(text: str) -> str:
    return text.replace("$", "$$")  # which compose would replace by a variable
