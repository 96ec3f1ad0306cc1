"""docs/flags.md is what the tables say, and the tables know every flag of TensorFlow Serving."""

import re
from pathlib import Path

import pytest

from unstuck.cli.flags_page import TENSORFLOW_SERVING, page
from unstuck.config.flags import Accepted, parse
from unstuck.config.foreign_flags import FOREIGN_FLAGS
from unstuck.config.serve_flags import SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.config.settings import ServerConfig

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "flags.md"

# Each flag of main.cc that works: a value that is not its default, and the setting that it changes.
WORKING = {
    "allow_version_labels_for_unavailable_models": ("true", "allow_unavailable_labels"),
    "batching_parameters_file": ("BATCHING --enable_batching", "batching"),
    "enable_batching": ("true", "batching"),
    "enable_per_model_batching_parameters": ("true --enable_batching", "batching_per_model"),
    "enable_grpc_healthcheck_service": ("false", "grpc_health"),
    "enable_model_warmup": ("false", "warmup_iterations"),
    "enable_serialization_as_tensor_content": ("true", "tensor_content"),
    "file_system_poll_wait_seconds": ("7", "poll_wait_s"),
    "grpc_channel_arguments": ("grpc.a=1", "grpc_channel_arguments"),
    "grpc_max_threads": ("7", "grpc_threads"),
    "grpc_socket_path": ("/run/x.sock", "grpc_socket_path"),
    "load_retry_interval_micros": ("7", "load_retry_interval_s"),
    "max_num_load_retries": ("7", "load_retries"),
    "mixed_precision": ("bfloat16", "bfloat16"),
    "model_base_path": ("/m", "models"),
    "model_config_file": ("/c", "model_config_file"),
    "model_config_file_poll_wait_seconds": ("7", "model_config_poll_s"),
    "model_name": ("other", "models"),
    "monitoring_config_file": ("MONITORING", "metrics_paths"),
    "num_load_threads": ("7", "load_threads"),
    "num_request_iterations_for_warmup": ("7", "warmup_iterations"),
    "num_tflite_interpreters_per_pool": ("2 --num_tflite_pools=7", "tflite_interpreters"),
    "num_tflite_pools": ("7", "tflite_interpreters"),
    "num_unload_threads": ("7", "unload_threads"),
    "per_process_gpu_memory_fraction": ("0.5", "gpu_memory_fraction"),
    "port": ("7", "grpc_port"),
    "prefer_tflite_model": ("true", "prefer_tflite"),
    "rest_api_enable_cors_support": ("true", "cors"),
    "rest_api_num_threads": ("7", "rest_threads"),
    "rest_api_port": ("7", "rest_port"),
    "rest_api_timeout_in_ms": ("7", "rest_timeout_ms"),
    "saved_model_tags": ("gpu", "saved_model_tags"),
    "ssl_config_file": ("/s", "ssl_config_file"),
    "tensorflow_inter_op_parallelism": ("7", "inter_op_threads"),
    "tensorflow_intra_op_parallelism": ("7", "intra_op_threads"),
    "tensorflow_session_config_file": ("FILE", "session_config_file"),
    "tensorflow_session_parallelism": ("7", "inter_op_threads"),
}
ACCEPTED = {
    *("enable_profiler", "enable_signature_method_name_check", "flush_filesystem_caches", "skip_initialize_tpu"),
    *("remove_unused_fields_from_bundle_metagraph", "xla_cpu_compilation_enabled", "xla_gpu_compilation_enabled"),
}
REFUSED = {
    *("platform_config_file", "thread_pool_factory_config_file", "use_alts_credentials"),
}
COMMAND = {"version"}  # has no setting: it ends the command


def test_the_page_is_current():
    assert PAGE.read_text() == page() + "\n", "run ./dev flags-page"


def test_every_flag_of_tensorflow_serving_is_where_the_page_says():
    accepted = {flag.name for flag in FOREIGN_FLAGS if isinstance(flag, Accepted)}
    refused = {flag.name for flag in FOREIGN_FLAGS} - accepted
    assert accepted == ACCEPTED
    assert refused == REFUSED
    assert {*WORKING, *COMMAND, *ACCEPTED, *REFUSED} == TENSORFLOW_SERVING
    assert len(TENSORFLOW_SERVING) == 48, "as many as main.cc has"
    assert {*WORKING, *COMMAND} <= {flag.name for flag in SERVE_FLAGS}


def test_every_flag_is_on_the_page():
    text = PAGE.read_text()
    titles = ["## Flags that work", "## Accepted without effect", "## Refused"]
    works, accepted, refused = (
        {*re.findall(r"^\| `--(\w+)", part, re.MULTILINE)} for part in re.split("|".join(titles), text)[1:]
    )
    assert works == {flag.name for flag in SERVE_FLAGS}
    assert (accepted, refused) == (ACCEPTED, REFUSED)


@pytest.mark.parametrize("name", sorted(WORKING))
def test_a_flag_that_works_changes_a_setting_that_a_test_sees_at_work(name, tmp_path):
    value, field = WORKING[name]
    (tmp_path / "FILE").write_text("")
    (tmp_path / "MONITORING").write_text('prometheus_config { enable: true path: "/mine" }')
    (tmp_path / "BATCHING").write_text("max_batch_size { value: 7 }")
    file, *others = value.split()
    if (tmp_path / file).is_file():
        value = " ".join([str(tmp_path / file), *others])
    model = [] if name in ("model_base_path", "model_config_file") else ["/m"]
    given = server_config(parse([*model, *f"--{name}={value}".split()], SERVE_FLAGS))
    default = ServerConfig() if not model else server_config(parse(["/m"], SERVE_FLAGS))
    assert getattr(given, field) != getattr(default, field)
    others = [file for file in TESTS.rglob("*.py") if file.parent.name not in ("config", "cli")]
    assert any(re.search(rf"\b({name}|{field})\b", file.read_text()) for file in others), "no test sees it at work"
