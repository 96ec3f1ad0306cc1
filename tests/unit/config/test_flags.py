from pathlib import Path

import pytest

from unstuck.config import serve_flags as flags
from unstuck.config.flags import Accepted, FlagError, Refused, parse
from unstuck.config.foreign_flags import FOREIGN_FLAGS
from unstuck.config.serve_flags import GROUPS, SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.config.settings import AUTO_PORT, ServerConfig
from unstuck.core.batching import BatchingParameters
from unstuck.core.cpus import usable_cpus
from unstuck.core.locations import RemotePath
from unstuck.core.models import RequestLogConfig
from unstuck.errors import SetupError


def config(*arguments):
    return server_config(parse(arguments, SERVE_FLAGS))


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--rest_api_port=8080"], "rest_port", 8080),
        (["--rest_api_port", "8080"], "rest_port", 8080),
        (["-rest_api_port=8080"], "rest_port", 8080),
        (["--rest_api_port=0"], "rest_port", 0),
        (["--rest_api_port=65535"], "rest_port", 65535),
        (["--rest_api_port=auto"], "rest_port", AUTO_PORT),
        (["--rest_api_port", "AUTO"], "rest_port", AUTO_PORT),
        ([], "rest_port", 8501),
        (["--host=::1"], "host", "::1"),
        (["--on_skew=reject"], "on_skew", "reject"),
        ([], "on_skew", "count"),
        (["--batching=on"], "merging", "on"),
        (["--batching=off"], "merging", "off"),
        ([], "merging", "auto"),
        ([], "host", "0.0.0.0"),
        (["--rest_api_timeout_in_ms=50"], "rest_timeout_ms", 50),
        (["--rest_api_timeout_in_ms", "-1"], "rest_timeout_ms", -1),
        ([], "rest_timeout_ms", 30_000),
        (["--rest_api_num_threads=3"], "rest_threads", 3),
        (["--rest_api_enable_cors_support"], "cors", True),
        (["--rest_api_enable_cors_support=true"], "cors", True),
        (["--rest_api_enable_cors_support=TRUE"], "cors", True),
        (["--rest_api_enable_cors_support=1"], "cors", True),
        (["--rest_api_enable_cors_support=false"], "cors", False),
        (["--rest_api_enable_cors_support=0"], "cors", False),
        ([], "cors", False),
        (["--strict_inputs"], "strict_inputs", True),
        ([], "warmup_iterations", 1),
        (["--enable_model_warmup"], "warmup_iterations", 1),
        (["--enable_model_warmup=false"], "warmup_iterations", 0),
        (["--enable_model_warmup=false", "--num_request_iterations_for_warmup=2"], "warmup_iterations", 0),
        (["--num_request_iterations_for_warmup=2"], "warmup_iterations", 2),
        (["--num_request_iterations_for_warmup=0"], "warmup_iterations", 1),
        ([], "golden_rows", "check"),
        (["--golden_rows=warn"], "golden_rows", "warn"),
        ([], "request_log_redact", frozenset()),
        (["--request_log_redact=a, b,"], "request_log_redact", frozenset({"a", "b"})),
        ([], "request_log_bytes", 1 << 30),
        (["--request_log_max_bytes=5000"], "request_log_bytes", 5000),
        (["--rest_api_max_body_bytes=1000"], "max_body_bytes", 1000),
        ([], "max_body_bytes", 512 * 1024 * 1024),
        (["--saved_model_tags=serve,gpu"], "saved_model_tags", ("serve", "gpu")),
        (["--saved_model_tags=serve, gpu,"], "saved_model_tags", ("serve", "gpu")),
        (["--saved_model_tags="], "saved_model_tags", ("serve",)),
        ([], "saved_model_tags", ("serve",)),
        (["--op_library=a", "--op_library", "/b.so"], "op_libraries", ("a", "/b.so")),
        (["--port=8600"], "grpc_port", 8600),
        (["--port=auto"], "grpc_port", -1),
        ([], "grpc_port", 8500),
        (["--grpc_socket_path=/run/x.sock"], "grpc_socket_path", "/run/x.sock"),
        (["--grpc_max_threads=3"], "grpc_threads", 3),
        (["--grpc_front=grpcio"], "grpc_front", "grpcio"),
        (["--grpc_channel_arguments=grpc.a=1,b=two"], "grpc_channel_arguments", {"grpc.a": 1, "b": "two"}),
        ([], "grpc_channel_arguments", {}),
        (["--enable_grpc_healthcheck_service=false"], "grpc_health", False),
        ([], "grpc_health", True),
        (["--ssl_config_file=/etc/ssl.txt"], "ssl_config_file", Path("/etc/ssl.txt")),
        (["--rest_ssl_config_file=/etc/ssl.txt"], "rest_tls_config_file", Path("/etc/ssl.txt")),
        (["--per_process_gpu_memory_fraction=0.25"], "gpu_memory_fraction", 0.25),
        (["--mixed_precision=bfloat16"], "bfloat16", True),
        (["--mixed_precision="], "bfloat16", False),
        (["--prefer_tflite_model"], "prefer_tflite", True),
        (["--num_tflite_pools=3"], "tflite_interpreters", 3),
        (["--num_tflite_pools=3", "--num_tflite_interpreters_per_pool=2"], "tflite_interpreters", 6),
        ([], "tflite_interpreters", 0),
        (["--enable_serialization_as_tensor_content"], "tensor_content", True),
        (["--file_system_poll_wait_seconds=30"], "poll_wait_s", 30),
        (["--file_system_poll_wait_seconds=-1"], "poll_wait_s", -1),
        ([], "remote_poll_wait_s", 60),
        (["--file_system_poll_wait_seconds=30"], "remote_poll_wait_s", 60),
        (["--file_system_poll_wait_seconds=90"], "remote_poll_wait_s", 90),
        (["--file_system_poll_wait_seconds=0"], "remote_poll_wait_s", 0),
        (["--file_system_poll_wait_seconds=-1"], "remote_poll_wait_s", -1),
        (["--file_system_poll_wait_seconds=0", "--remote_poll_wait_seconds=5"], "remote_poll_wait_s", 5),
        (["--model_cache_dir=/var/cache/models"], "model_cache_dir", Path("/var/cache/models")),
        ([], "model_cache_dir", None),
        ([], "poll_wait_s", 1),
        (["--aspired_version_policy=resource_preserving"], "version_policy", "resource_preserving"),
        ([], "version_policy", "availability_preserving"),
        (["--num_load_threads=3"], "load_threads", 3),
        (["--num_unload_threads=0"], "unload_threads", 0),
        (["--max_num_load_retries=0"], "load_retries", 0),
        ([], "load_retries", 5),
        (["--load_retry_interval_micros=1500000"], "load_retry_interval_s", 1.5),
        (["--load_retry_interval_micros=-1"], "load_retry_interval_s", -1e-6),
        ([], "load_retry_interval_s", 60),
        (["--allow_version_labels_for_unavailable_models"], "allow_unavailable_labels", True),
        (["--allow_remote_admin"], "allow_remote_admin", True),
        (["--model_config_file_poll_wait_seconds=60"], "model_config_poll_s", 60),
        ([], "model_config_poll_s", 0),
    ],
)
@pytest.mark.parametrize("flags_first", [True, False])
def test_a_flag_sets_its_value(arguments, field, value, flags_first):
    given = [*arguments, "/m"] if flags_first and arguments[-1:] != [f"--{field}"] else ["/m", *arguments]
    assert getattr(config(*given), field) == value


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rest_api_prot=1"], "Unknown flag --rest_api_prot. Did you mean --rest_api_port?"),
        (["--rest-api-port=1"], "Unknown flag --rest-api-port. Did you mean --rest_api_port?"),
        (["--model_basepath=/m"], "Did you mean --model_base_path?"),
        (["--enable_batchin"], "Did you mean --enable_batching?"),
        (["--xyzzy"], "Unknown flag --xyzzy. unstuck serve --help lists the flags."),
        (["--"], "Unknown flag --"),
        (["-v"], "Unknown flag -v"),
        (["--batching=true"], "--batching=true is malformed: expected off, auto or on."),
        (["--on_skew=refuse"], "--on_skew=refuse is malformed: expected ignore, count, warn or reject."),
        (
            ["--rest_api_port=http"],
            "--rest_api_port=http is malformed: expected a port from 0 to 65535 (0 disables it), or",
        ),
        *(([f"--rest_api_port={text}"], "is malformed") for text in ("65536", "-1", "", "1.0", "80 ", "²", "0x50")),
        (["--rest_api_port"], "--rest_api_port needs a value: --rest_api_port=PORT."),
        (["--rest_api_port", "--strict_inputs"], "--rest_api_port needs a value"),
        (["--rest_api_timeout_in_ms=1.5"], "is malformed: expected a whole number"),
        (["--rest_api_num_threads=0"], "is malformed: expected a number above 0"),
        (["--rest_api_max_body_bytes=-5"], "is malformed: expected a number above 0"),
        (["--mixed_precision=float16"], "--mixed_precision=float16 is malformed: expected bfloat16."),
        (["--per_process_gpu_memory_fraction=2"], "is malformed: expected a rate from 0 to 1"),
        (["--use_alts_credentials=yes"], "--use_alts_credentials=yes is malformed: expected true or false."),
        (["--platform_config_file"], "--platform_config_file needs a value: --platform_config_file=FILE."),
        (["--strict_inputs=yes"], "--strict_inputs=yes is malformed: expected true or false"),
        (["--strict_inputs="], "is malformed"),
        (["--op_library="], "is malformed: expected a module or a .so file"),
        (["--rest_api_port=1", "--rest_api_port=2"], "--rest_api_port is given twice."),
        (["--model_name=a", "--model_name=a"], "--model_name is given twice."),
    ],
)
def test_a_wrong_flag_is_refused(arguments, says):
    with pytest.raises(FlagError) as caught:
        parse(["/m", *arguments], SERVE_FLAGS, FOREIGN_FLAGS)
    assert says in str(caught.value)


@pytest.mark.parametrize("flag", [flag for flag in FOREIGN_FLAGS if isinstance(flag, Refused)], ids=lambda f: f.name)
def test_a_flag_that_cannot_be_had_is_refused_unless_it_asks_for_nothing(flag):
    asking = ["--{}", "--{}=true", "--{}=1"] if flag.boolean else ["--{}=/f", "--{} /f"]
    for form in asking:
        with pytest.raises(FlagError) as caught:
            parse(form.format(flag.name).split(), SERVE_FLAGS, FOREIGN_FLAGS)
        assert caught.value.message == f"--{flag.name} cannot be used: {flag.why}."
        assert caught.value.hint == flag.hint != ""
    for form in ["--{}=false", "--{}=0"] if flag.boolean else ["--{}="]:
        parsed = parse([form.format(flag.name)], SERVE_FLAGS, FOREIGN_FLAGS)
        assert not parsed.values
        assert not parsed.without_effect


@pytest.mark.parametrize("flag", [flag for flag in FOREIGN_FLAGS if isinstance(flag, Accepted)], ids=lambda f: f.name)
def test_a_flag_without_effect_is_read_and_remembered(flag):
    for form in ("--{}", "--{}=true", "--{}=false"):
        parsed = parse([form.format(flag.name), "/m"], SERVE_FLAGS, FOREIGN_FLAGS)
        assert parsed.without_effect == [flag]
        assert server_config(parsed) == config("/m")
    with pytest.raises(FlagError, match=f"--{flag.name}=perhaps is malformed: expected true or false"):
        parse([f"--{flag.name}=perhaps"], SERVE_FLAGS, FOREIGN_FLAGS)


@pytest.mark.parametrize(
    ("arguments", "intra", "inter"),
    [
        ([], 0, 0),
        (["--tensorflow_session_parallelism=3"], 3, 3),
        (["--tensorflow_intra_op_parallelism=3"], 3, 0),
        (["--tensorflow_inter_op_parallelism=3"], 0, 3),
        (["--tensorflow_intra_op_parallelism=3", "--tensorflow_inter_op_parallelism=2"], 3, 2),
        (["--tensorflow_session_parallelism=4", "--tensorflow_intra_op_parallelism=3"], 3, 0),
        (["--tensorflow_session_parallelism=-1"], 0, 0),
    ],
)
def test_three_flags_are_two_kinds_of_threads(arguments, intra, inter):
    settings = config("/m", *arguments)
    assert (settings.intra_op_threads, settings.inter_op_threads) == (intra, inter)


def test_interpreters_per_pool_multiply_the_default_number_of_pools():
    assert config("/m", "--num_tflite_interpreters_per_pool=3").tflite_interpreters == 3 * usable_cpus()


def test_tls_for_an_api_that_is_off_is_refused():
    with pytest.raises(FlagError, match="--rest_ssl_config_file is given, and REST is off"):
        config("/m", "--rest_api_port=0", "--rest_ssl_config_file=/etc/ssl.txt")


def test_all_three_of_them_are_too_many():
    with pytest.raises(FlagError, match="all three are given"):
        config("/m", *(f"--tensorflow_{name}_parallelism=2" for name in ("session", "intra_op", "inter_op")))


def test_a_session_config_that_is_not_there_is_said_at_once():
    with pytest.raises(FlagError, match=r"--tensorflow_session_config_file=/nowhere/c\.txt does not exist"):
        config("/m", "--tensorflow_session_config_file=/nowhere/c.txt")


def test_every_flag_is_described_and_in_one_place():
    names = [flag.name for flag in (*SERVE_FLAGS, *FOREIGN_FLAGS)]
    assert len({*names}) == len(names)
    assert all(flag.text for flag in SERVE_FLAGS)
    assert sum(map(len, GROUPS.values())) == len(SERVE_FLAGS)


def test_the_defaults_are_those_of_the_settings():
    assert config("/m") == ServerConfig(models=config("/m").models)


@pytest.mark.parametrize(
    ("arguments", "models"),
    [
        (["/models/half"], {"half": "/models/half"}),
        (["/models/half/"], {"half": "/models/half"}),
        (["/models/half/1"], {"half": "/models/half/1"}),
        (["/models/half/00000123"], {"half": "/models/half/00000123"}),
        (["a=/models/half"], {"a": "/models/half"}),
        (["a=/models/x=y"], {"a": "/models/x=y"}),
        (["/models/half.onnx"], {"half": "/models/half.onnx"}),
        (["/models/half.tflite"], {"half": "/models/half.tflite"}),
        (["/models/half/7/model.tflite"], {"half": "/models/half/7/model.tflite"}),
        (["/models/model.onnx"], {"model": "/models/model.onnx"}),
        (["/models/half/7/model.onnx"], {"half": "/models/half/7/model.onnx"}),
        (["/models/v1.5/7/half.v2.onnx"], {"half.v2": "/models/v1.5/7/half.v2.onnx"}),
        (["/models/half_v1.5"], {"half_v1.5": "/models/half_v1.5"}),
        (["a=/models/half.onnx"], {"a": "/models/half.onnx"}),
        (["/models/x=y"], {"x=y": "/models/x=y"}),
        (["a=/m/1", "b=/m/1", "/m/c"], {"a": "/m/1", "b": "/m/1", "c": "/m/c"}),
        (["--model_base_path=/models/half"], {"default": "/models/half"}),
        (["--model_name=n", "--model_base_path=/models/half"], {"n": "/models/half"}),
        (["--model_base_path", "/models/half", "--model_name", "n"], {"n": "/models/half"}),
        (["--model_name=n", "/models/half"], {"n": "/models/half"}),
        (["--model_name=n", "--model_base_path=/m/half", "/m/other"], {"n": "/m/half", "other": "/m/other"}),
    ],
)
def test_models_are_named(arguments, models):
    assert {model.name: model.base_path for model in config(*arguments).models} == {
        name: Path(path) for name, path in models.items()
    }


def test_a_relative_path_is_seen_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "half").mkdir()
    monkeypatch.chdir(tmp_path / "half")
    models = {
        argument: [(model.name, model.base_path) for model in config(argument).models]
        for argument in ("1", "../half", "a=1")
    }
    half = tmp_path / "half"
    assert models["1"] == [("half", half / "1")]
    assert [name for name, _ in models["../half"]] == ["half"]
    assert models["a=1"] == [("a", half / "1")]


@pytest.mark.parametrize("argument", [".", "./"])
def test_the_working_folder_itself_has_its_own_name(argument, tmp_path, monkeypatch):
    (tmp_path / "half").mkdir()
    monkeypatch.chdir(tmp_path / "half")
    assert [model.name for model in config(argument).models] == ["half"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "No model to serve. Name its folder: unstuck serve PATH"),
        (["--model_name=n"], "--model_name=n is given without a path. Add --model_base_path=PATH."),
        (["--model_name=n", "/a", "/b"], "--model_name=n names one model, but 2 paths are given"),
        (["/a/m", "/b/m"], "Two models are called 'm'. Name them: unstuck serve a=PATH b=PATH."),
        (["m=/a", "/b/m/1"], "Two models are called 'm'"),
        (["--model_base_path=/a", "/b/default"], "Two models are called 'default'"),
        (["a="], "a="),
        (["=/models/half"], "=/models/half"),
    ],
)
def test_models_that_cannot_be_told_are_refused(arguments, says):
    with pytest.raises(FlagError) as caught:
        config(*arguments)
    assert says in str(caught.value)


def test_values_fall_back_to_the_defaults():
    parsed = parse(["--strict_inputs"], SERVE_FLAGS)
    assert parsed.has(flags.STRICT)
    assert not parsed.has(flags.CORS)
    assert (parsed.get(flags.STRICT), parsed.get(flags.CORS), parsed.all(flags.OP_LIBRARY)) == (True, False, ())


def test_a_config_file_says_what_is_served_instead_of_the_command_line():
    file = "--model_config_file=/etc/models.config"
    asked = config(file, "--model_name=m", "--model_base_path=/m", "--pipeline_file=a=/p.yaml")
    assert (asked.models, asked.model_config_file) == ((), Path("/etc/models.config"))
    assert asked.pipeline_files == {"a": Path("/p.yaml")}
    with pytest.raises(FlagError, match="says which models to serve, and '/m' is one more"):
        config(file, "/m")
    with pytest.raises(FlagError, match=r"--pipeline_file=/p\.yaml must name its model"):
        config(file, "--pipeline_file=/p.yaml")


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--num_load_threads=-1", "expected 0 or more"),
        ("--max_num_load_retries=many", "expected a whole number"),
        ("--aspired_version_policy=none", "expected availability_preserving or resource_preserving"),
    ],
)
def test_a_lifecycle_flag_that_is_malformed(argument, says):
    with pytest.raises(FlagError, match=says):
        config("/m", argument)


@pytest.mark.parametrize(
    ("arguments", "name", "url"),
    [
        (["s3://bucket/models/half"], "half", "s3://bucket/models/half"),
        (["s3://bucket/models/half/"], "half", "s3://bucket/models/half/"),
        (["s3://bucket/models/half/12"], "half", "s3://bucket/models/half/12"),
        (["gs://bucket"], "bucket", "gs://bucket"),
        (["s3://bucket/halver.onnx"], "halver", "s3://bucket/halver.onnx"),
        (["s3://bucket/half/7/model.onnx"], "half", "s3://bucket/half/7/model.onnx"),
        (["hf://someone/half@main/exports"], "exports", "hf://someone/half@main/exports"),
        (["sftp://me:secret@host/half?x=/y"], "half", "sftp://me:secret@host/half?x=/y"),
        (["h=s3://bucket/a=b"], "h", "s3://bucket/a=b"),
        (["s3://bucket/a=b"], "a=b", "s3://bucket/a=b"),
        (["--model_name=n", "--model_base_path=s3://bucket/half"], "n", "s3://bucket/half"),
        (["--model_name=n", "s3://bucket/half"], "n", "s3://bucket/half"),
    ],
)
def test_remote_models(arguments, name, url):
    (model,) = config(*arguments).models
    assert (model.name, model.base_path) == (name, RemotePath(url))


def test_models_of_the_command_line_are_logged_as_the_flags_say():
    assert [each.request_log for each in config("/m/a").models] == [None]
    found = config("/m/a", "/m/b", "--request_log_file_prefix=/log/req", "--request_log_sampling_rate=0.25").models
    assert [each.request_log for each in found] == [RequestLogConfig(0.25, filename_prefix="/log/req")] * 2
    (model,) = config("/m/a", "--request_log_file_prefix=req").models
    assert model.request_log == RequestLogConfig(1.0, filename_prefix=str(Path("req").absolute()))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/m", "--golden_rows=yes"], r"--golden_rows=yes is malformed: expected check, warn or off"),
        (["/m", "--request_log_sampling_rate=2"], r"malformed: expected a rate from 0 to 1"),
        (["/m", "--request_log_sampling_rate=x"], r"malformed: expected a rate from 0 to 1"),
        (["/m", "--request_log_sampling_rate=nan"], r"malformed: expected a rate from 0 to 1"),
        (["/m", "--request_log_max_bytes=0"], r"malformed: expected a number above 0"),
        (["/m", "--request_log_sampling_rate=0.5"], r"without a place for the log. Add --request_log_file_prefix"),
        (
            ["--model_config_file=/c", "--request_log_file_prefix=/l"],
            r"for models of the command line, not for those of a file. Write for each: logging_config \{",
        ),
    ],
)
def test_a_request_log_or_acceptance_that_makes_no_sense(arguments, says):
    with pytest.raises(FlagError, match=says) as caught:
        config(*arguments)
    assert str(caught.value)


def test_batching_is_read_from_its_file(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 7 }")
    assert config("/m").batching is None
    assert config("/m", "--enable_batching").batching == BatchingParameters()
    assert config("/m", "--enable_batching", f"--batching_parameters_file={file}").batching.max_batch_size == 7
    file.write_text("max_batch_size { value: 0 }")
    with pytest.raises(SetupError, match=r"--batching_parameters_file=.*, line 1: max_batch_size: expected 1"):
        config("/m", "--enable_batching", f"--batching_parameters_file={file}")


def test_a_batching_file_without_batching_is_refused():
    with pytest.raises(FlagError, match="--batching_parameters_file=/f is given without --enable_batching"):
        config("/m", "--batching_parameters_file=/f", "--enable_batching=false")


def test_per_model_batching_without_batching_is_said_to_have_no_effect():
    parsed = parse(["/m", "--enable_per_model_batching_parameters"], SERVE_FLAGS)
    assert server_config(parsed).batching is None
    assert [flag.name for flag in parsed.without_effect] == ["enable_per_model_batching_parameters"]
