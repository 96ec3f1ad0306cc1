"""The flags of TensorFlow Serving that ``unstuck serve`` takes without effect, or refuses; and why."""

from unstuck.config.flags import Accepted, Refused

FOREIGN_FLAGS: tuple[Accepted | Refused, ...] = (
    Accepted("enable_profiler", "TensorFlow's profiler is not served over gRPC"),
    Accepted(
        "enable_signature_method_name_check",
        "Classify and Regress look at what a signature takes and gives, whatever its method_name",
    ),
    Accepted("flush_filesystem_caches", "models' files are not cached in memory"),
    Accepted("remove_unused_fields_from_bundle_metagraph", "the graph's definition is never kept"),
    Accepted("skip_initialize_tpu", "no TPU is used"),
    Accepted("xla_cpu_compilation_enabled", "functions that ask for XLA run whether or not it is given"),
    Accepted("xla_gpu_compilation_enabled", "functions that ask for XLA run whether or not it is given"),
    Refused(
        "platform_config_file",
        "it configures C++ classes of TensorFlow Serving",
        "What it says of sessions has flags: --tensorflow_session_config_file, --saved_model_tags, "
        "--enable_model_warmup, --prefer_tflite_model.",
    ),
    Refused(
        "thread_pool_factory_config_file",
        "it names a C++ class that is linked into TensorFlow Serving",
        "Set the threads with --tensorflow_intra_op_parallelism and --tensorflow_inter_op_parallelism.",
    ),
    Refused(
        "use_alts_credentials",
        "ALTS is for machines of Google Cloud, and only its C++ and Go servers have it",
        "Use TLS: --ssl_config_file=FILE.",
        boolean=True,
    ),
)
