"""Prints docs/flags.md: every flag of ``unstuck serve`` and of TensorFlow Serving, from the tables that are parsed."""

from collections.abc import Iterator

from unstuck.config.flags import Accepted, Flag, Refused
from unstuck.config.foreign_flags import FOREIGN_FLAGS
from unstuck.config.serve_flags import GROUPS, SERVE_FLAGS

# Source: tensorflow_serving/model_servers/main.cc of TensorFlow Serving 2.19.
# fmt: off
TENSORFLOW_SERVING = frozenset({
    "allow_version_labels_for_unavailable_models", "batching_parameters_file", "enable_batching",
    "enable_grpc_healthcheck_service", "enable_model_warmup", "enable_per_model_batching_parameters",
    "enable_profiler", "enable_serialization_as_tensor_content", "enable_signature_method_name_check",
    "file_system_poll_wait_seconds", "flush_filesystem_caches", "grpc_channel_arguments", "grpc_max_threads",
    "grpc_socket_path", "load_retry_interval_micros", "max_num_load_retries", "mixed_precision", "model_base_path",
    "model_config_file", "model_config_file_poll_wait_seconds", "model_name", "monitoring_config_file",
    "num_load_threads", "num_request_iterations_for_warmup", "num_tflite_interpreters_per_pool", "num_tflite_pools",
    "num_unload_threads", "per_process_gpu_memory_fraction", "platform_config_file", "port", "prefer_tflite_model",
    "remove_unused_fields_from_bundle_metagraph", "rest_api_enable_cors_support", "rest_api_num_threads",
    "rest_api_port", "rest_api_timeout_in_ms", "saved_model_tags", "skip_initialize_tpu", "ssl_config_file",
    "tensorflow_inter_op_parallelism", "tensorflow_intra_op_parallelism", "tensorflow_session_config_file",
    "tensorflow_session_parallelism", "thread_pool_factory_config_file", "use_alts_credentials", "version",
    "xla_cpu_compilation_enabled", "xla_gpu_compilation_enabled",
})
# fmt: on

INTRODUCTION = """\
# Flags

<!-- Written by ./dev flags-page. -->

`unstuck serve` and `tensorflow_model_server` know every flag of TensorFlow Serving, as `--flag=value`, `--flag value`,
or `--flag` for true: {works} of its {all} work, {accepted} are accepted without effect, {refused} are refused. *Ours*
are Unstuck's own. None is ignored in silence: a flag without effect is said at the start, and a refused or unknown one
ends it.

The two commands differ in one default: `tensorflow_model_server` serves REST only where `--rest_api_port` is given."""


def page() -> str:
    """The page as Markdown."""
    accepted = [flag for flag in FOREIGN_FLAGS if isinstance(flag, Accepted)]
    refused = [flag for flag in FOREIGN_FLAGS if isinstance(flag, Refused)]
    works = len(TENSORFLOW_SERVING & {flag.name for flag in SERVE_FLAGS})
    counts = {"works": works, "all": len(TENSORFLOW_SERVING), "accepted": len(accepted), "refused": len(refused)}
    lines = [INTRODUCTION.format(**counts), "", "## Flags that work"]
    for title, group in GROUPS.items():
        lines += ["", f"### {title}", "", *_table("flag", "default", "what"), *map(_row, group)]
    lines += ["", "## Accepted without effect", "", *_table("flag", "why")]
    lines += [f"| `--{flag.name}` | {flag.why} |" for flag in accepted]
    lines += ["", "## Refused", "", "Empty, or false, they ask for nothing and are let pass.", ""]
    lines += [*_table("flag", "why", "instead")]
    lines += [f"| `--{flag.name}` | {flag.why} | {flag.hint} |" for flag in refused]
    return "\n".join(lines)


def _table(*titles: str) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|" + " --- |" * len(titles)


def _row(flag: Flag[object]) -> str:
    left = f"`--{flag.name}`" if flag.boolean else f"`--{flag.name}={flag.metavar}`"
    ours = "" if flag.name in TENSORFLOW_SERVING else " *ours*"
    text = flag.text.replace("|", "\\|")
    return f"| {left.replace('|', chr(92) + '|')}{ours} | {_default(flag.default)} | {text} |"


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | frozenset | dict):  # what is repeated or joined by commas
        value = ",".join(each for each in value if isinstance(each, str))  # type: ignore[reportUnknownVariableType]
    return "" if value in (None, "") else f"`{value}`"


if __name__ == "__main__":
    print(page())
