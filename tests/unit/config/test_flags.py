from pathlib import Path

import pytest

from unstuck.config import serve_flags as flags
from unstuck.config.flags import FlagError, parse
from unstuck.config.serve_flags import NOT_BUILT, SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.config.settings import AUTO_PORT, ServerConfig


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
        (["--enable_serialization_as_tensor_content"], "tensor_content", True),
        (["--file_system_poll_wait_seconds=30"], "poll_wait_s", 30),
        (["--file_system_poll_wait_seconds=-1"], "poll_wait_s", -1),
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
        (["--strict_inputs=yes"], "--strict_inputs=yes is malformed: expected true or false"),
        (["--strict_inputs="], "is malformed"),
        (["--op_library="], "is malformed: expected a module or a .so file"),
        (["--rest_api_port=1", "--rest_api_port=2"], "--rest_api_port is given twice."),
        (["--model_name=a", "--model_name=a"], "--model_name is given twice."),
    ],
)
def test_a_wrong_flag_is_refused(arguments, says):
    with pytest.raises(FlagError) as caught:
        parse(["/m", *arguments], SERVE_FLAGS, NOT_BUILT)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
@pytest.mark.parametrize("form", ["--{}", "--{}=1"])
def test_a_flag_of_tensorflow_servings_that_is_not_built_is_refused_not_ignored(name, form):
    with pytest.raises(FlagError, match=f"--{name} is a flag of TensorFlow Serving that is not built yet"):
        parse([form.format(name)], SERVE_FLAGS, NOT_BUILT)


def test_every_flag_is_described_and_none_is_both_built_and_not():
    assert len({flag.name for flag in SERVE_FLAGS}) == len(SERVE_FLAGS)
    assert all(flag.text for flag in SERVE_FLAGS)
    assert not NOT_BUILT & {flag.name for flag in SERVE_FLAGS}


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
        (["--model_name=n"], "names one model, but 0 paths are given"),
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
