"""TensorFlow Serving's metrics: their names, labels and buckets.

Source: tensorflow_serving/servables/tensorflow/util.cc and saved_model_warmup_util.cc, core/request_logger.cc, and
tensorflow/cc/saved_model/loader.cc. Its page writes the slashes of the names as colons, and bounds with six digits.
"""

from unstuck.monitor.instruments import Counter, Histogram, Scale

SERVING = ":tensorflow:serving:"
SAVED_MODEL = ":tensorflow:cc:saved_model:"
RUNTIME = "TF1"  # what TensorFlow Serving calls a session

MICROSECONDS = Scale([10 * 1.8**power for power in range(33)], unit=1e3, digits=6)  # of values in nanoseconds
EXAMPLES = Scale([2**power for power in range(15)], digits=6)


def request_count() -> Counter:
    return Counter(f"{SERVING}request_count", "The total number of requests.", ["model_name", "status"])


def request_latency() -> Histogram:
    return Histogram(
        f"{SERVING}request_latency",
        "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
        ["model_name", "API", "entrypoint"],
        MICROSECONDS,
    )


def runtime_latency() -> Histogram:
    return Histogram(
        f"{SERVING}runtime_latency",
        "Distribution of wall time (in microseconds) for Tensorflow runtime.",
        ["model_name", "API", "runtime"],
        MICROSECONDS,
    )


def request_example_counts() -> Histogram:
    return Histogram(
        f"{SERVING}request_example_counts", "The number of tensorflow.Examples per request.", ["model"], EXAMPLES
    )


def request_example_count_total() -> Counter:
    return Counter(f"{SERVING}request_example_count_total", "The total number of tensorflow.Examples.", ["model"])


def request_log_count() -> Counter:
    return Counter(
        f"{SERVING}request_log_count",
        "The total number of requests logged from the model server sliced down by model_name and status code.",
        ["model_name", "status_code"],
    )


def model_warmup_latency() -> Histogram:
    """Of values in nanoseconds."""
    return Histogram(
        f"{SERVING}model_warmup_latency",
        "Distribution of wall time (in microseconds) for warming up the model.",
        ["model_path", "status"],
        MICROSECONDS,
    )


def model_warmup_records_read() -> Counter:
    return Counter(
        f"{SERVING}model_warmup_records_read",
        "Total number of warmup records read during model warmup.",
        ["model_path", "status"],
    )


def load_attempt_count() -> Counter:
    return Counter(
        f"{SAVED_MODEL}load_attempt_count", "The number of times a SavedModel was requested.", ["model_path", "status"]
    )


def load_latency() -> Counter:
    return Counter(
        f"{SAVED_MODEL}load_latency",
        "Latency in microseconds for SavedModels that were successfully loaded.",
        ["model_path"],
    )
