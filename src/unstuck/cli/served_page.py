"""What ``unstuck serve`` prints once it serves: addresses, models, and how to call them."""

from urllib.parse import quote

from unstuck.cli.calls import call
from unstuck.config.settings import ServerConfig
from unstuck.core.models import State
from unstuck.core.signatures import Signature
from unstuck.lifecycle.manager import AvailableVersion
from unstuck.server import Server

ANYWHERE = ("0.0.0.0", "::")


def served_page(server: Server, config: ServerConfig) -> str:
    """Lines for people."""
    host = "localhost" if config.host in ANYWHERE else config.host
    scheme = "https" if config.rest_tls_config_file else "http"
    address = f"{scheme}://{host}:{server.rest_port}" if server.rest_port else ""
    lines = [""]
    if server.rest_port:
        lines.append(f"  REST    {address}   (bound to {config.host}; ready: /readyz, live: /healthz)")
    if server.grpc_port:
        tls = ", TLS" if config.ssl_config_file else ""
        lines.append(f"  gRPC    {host}:{server.grpc_port}   (bound to {config.host}; {server.grpc_front}{tls})")
    if config.grpc_socket_path:
        lines.append(f"  gRPC    unix:{config.grpc_socket_path}")
    for model in server.models.available():
        lines += ["", f"  {model.name}, version {model.version}"]
        for signature in model.servable.signatures.values():
            if signature.inputs:
                lines += _signature_lines(address, model, signature)
    serving = {model.name for model in server.models.available()}
    for name, statuses in server.models.statuses().items():
        failed = [f" version {each.version}" for each in statuses if each.state is State.END]
        lines += [f"\n  {name}{version if name in serving else ''} is NOT served (see above)" for version in failed]
        if not statuses:
            lines.append(f"\n  {name} is NOT served: it has no version yet")
    return "\n".join([*lines, "", "Ready. Ctrl-C stops it."])


def _signature_lines(address: str, model: AvailableVersion, signature: Signature) -> list[str]:
    takes = ", ".join(f"{alias}: {spec}" for alias, spec in signature.inputs.items())
    gives = ", ".join(f"{alias}: {spec}" for alias, spec in signature.outputs.items())
    lines = [f"    {signature.name}: {takes} -> {gives}"]
    if address:
        lines.append(f"      {call(signature, f'{address}/v1/models/{quote(model.name)}:predict')}")
    return lines
