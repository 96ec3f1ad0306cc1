"""``--monitoring_config_file``: a text proto of tensorflow.serving.MonitoringConfig."""

from pathlib import Path

from unstuck.config.text_proto import parsed
from unstuck.errors import SetupError
from unstuck.proto.wire.monitoring_pb2 import MonitoringConfig

DEFAULT_PATH = "/monitoring/prometheus/metrics"  # kPrometheusPath in tensorflow_serving/util/prometheus_exporter.cc


def read_metrics_path(path: Path) -> str:
    """The URL's path where the file ``path`` wants the metrics; empty for nowhere.

    Raises:
        SetupError: no such file, not a MonitoringConfig, or a path that no request can have.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--monitoring_config_file={path} cannot be read: {error}.") from None
    config = MonitoringConfig()
    located, mistakes = parsed(text, config)
    if mistakes:
        first = min(mistakes, key=lambda each: each.line)
        raise SetupError(f"--monitoring_config_file={path}, line {first.line}: {first.message}")
    prometheus = config.prometheus_config
    if not prometheus.enable:
        return ""
    found = prometheus.path or DEFAULT_PATH
    if not found.startswith("/") or "?" in found or "#" in found:
        line = located.line(("prometheus_config", "path"))
        raise SetupError(
            f"--monitoring_config_file={path}, line {line}: prometheus_config.path: expected the path of a URL, "
            f"got {found!r}.",
            hint=f"It begins with a slash: {DEFAULT_PATH}",
        )
    return found
