"""--monitoring_config_file, and the flags of metrics, logs and traces."""

import pytest

from unstuck.config.flags import FlagError, parse
from unstuck.config.monitoring_file import read_metrics_path
from unstuck.config.serve_flags import SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.errors import SetupError


def config(*arguments):
    return server_config(parse(["m=/m", *arguments], SERVE_FLAGS))


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "monitoring.txt"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config: {\n  enable: true,\n  path: "/a/b"\n}\n', "/a/b"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { path: "/a" }', ""),
        ("prometheus_config { enable: false }", ""),
        ("", ""),
    ],
)
def test_where_the_file_wants_the_metrics(file, text, path):
    assert read_metrics_path(file(text)) == path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "prometheus_config { enabled: true }",
            r"line 1: PrometheusConfig has no field 'enabled'",
        ),
        ("\nprometheus_config {\n enable: 7 }", "line 3: "),
        ('prometheus_config {\n enable: true\n path: "metrics" }', r"line 3: .*path of a URL, got 'metrics'"),
        ('prometheus_config { enable: true path: "/a?b" }', "path of a URL"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(file, text, says):
    with pytest.raises(SetupError, match=says):
        read_metrics_path(file(text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SetupError, match="cannot be read"):
        config(f"--monitoring_config_file={tmp_path / 'none'}")


def test_metrics_are_on_and_may_be_turned_off(file):
    theirs = file('prometheus_config { enable: true path: "/a" }')
    assert config().metrics_paths == ("/metrics",)
    assert config(f"--monitoring_config_file={theirs}").metrics_paths == ("/metrics", "/a")
    assert config("--enable_metrics=false").metrics_paths == ()
    assert config("--enable_metrics=false", f"--monitoring_config_file={theirs}").metrics_paths == ("/a",)
    same = file('prometheus_config { enable: true path: "/metrics" }')
    assert config(f"--monitoring_config_file={same}").metrics_paths == ("/metrics",)


def test_traces_are_off_unless_asked_for():
    assert not config().tracing
    assert config("--enable_tracing").tracing
    made = config("--otel_endpoint=http://collector:4318")
    assert (made.tracing, made.otel_endpoint) == (True, "http://collector:4318")


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--otel_endpoint=collector:4318", "http://HOST:PORT"),
        ("--otel_endpoint=http://", "http://HOST:PORT"),
        ("--log_format=xml", "text or json"),
        ("--log_requests=some", "off, errors, slow or all"),
        ("--log_slow_ms=0", "above 0"),
    ],
)
def test_wrong_values_are_refused(argument, says):
    with pytest.raises(FlagError, match=says):
        config(argument)
