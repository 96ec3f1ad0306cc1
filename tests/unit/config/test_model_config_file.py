"""Model config files: what they ask for, and each mistake with its line."""

from pathlib import Path

import pytest

from unstuck.config.model_config_file import check, models_in
from unstuck.core.locations import RemotePath
from unstuck.core.models import AllVersions, Latest, ModelConfig, RequestLogConfig, Specific
from unstuck.errors import SetupError

PLATFORMS = ("tensorflow", "onnx")


def one(fields):
    return f'model_config_list {{ config {{ name: "m" base_path: "/m" {fields} }} }}'


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ("", {}),
        ('model_platform: "tensorflow"', {"platform": "tensorflow"}),
        ("model_type: TENSORFLOW", {"platform": "tensorflow"}),
        ("model_version_policy { latest { num_versions: 2 } }", {"versions": Latest(2)}),
        ("model_version_policy { latest { } }", {"versions": Latest(1)}),
        ("model_version_policy { }", {"versions": Latest(1)}),
        ("model_version_policy: { all: { } }", {"versions": AllVersions()}),
        ("model_version_policy < specific < versions: 3 versions: 4 > >", {"versions": Specific(frozenset({3, 4}))}),
        ("model_version_policy { specific { versions: [3, 4] } }", {"versions": Specific(frozenset({3, 4}))}),
        (
            'version_labels { key: "stable" value: 1 }, version_labels { key: "canary" value: 2 };',
            {"labels": {"stable": 1, "canary": 2}},
        ),
        (
            'logging_config { log_collector_config { type: "file" filename_prefix: "/log" } '
            "sampling_config { sampling_rate: 0.25 } }",
            {"request_log": RequestLogConfig(0.25, "file", "/log")},
        ),
    ],
)
def test_what_a_model_says(fields, settings):
    assert models_in(one(fields), Path("f"), PLATFORMS) == (ModelConfig("m", Path("/m"), **settings),)


@pytest.mark.parametrize("text", ["", "# nothing\n", "model_config_list {}", "model_config_list: < >"])
def test_a_file_may_ask_for_nothing(text):
    assert models_in(text, Path("f"), PLATFORMS) == ()


MANY = """\
# two models
model_config_list: {
  config: [
    {
      name: "a"
      base_path: "/m/a" model_platform: "tensorflw"
      modl_version_policy { all {} }
    }, {
      name: 'a',
      base_path: "rel/"
        "ative"
      version_labels { key: "canary" value: 9 }
      model_version_policy: < specific { versions: [1,
        2] versions: -3 } >
    }
  ]
}
"""


def test_every_mistake_is_told_with_its_line_and_field():
    assert [(each.line, each.message) for each in check(MANY, PLATFORMS).mistakes] == [
        (
            6,
            "model_config_list.config[0].model_platform: expected one of 'onnx', 'tensorflow', got 'tensorflw'. "
            "Did you mean 'tensorflow'?",
        ),
        (7, "ModelConfig has no field 'modl_version_policy'. Did you mean 'model_version_policy'?"),
        (9, "model_config_list.config[1].name: 'a' is the name of a model above, too."),
        (
            10,
            "model_config_list.config[1].base_path: expected an absolute path, got 'rel/ative'. "
            "Write it from the root: '/…/rel/ative'.",
        ),
        (
            12,
            "model_config_list.config[1].version_labels: 'canary' is a label of version 9, "
            "but only 1, 2, -3 would be served.",
        ),
        (
            13,
            "model_config_list.config[1].model_version_policy.specific.versions: -3 is not a version: "
            "they count from 0.",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("model_config_list {\n config {\n  name: 5\n }\n}", 3, "[0].name: Expected string but found: '5'"),
        (one("\nmodel_version_policy { latest {\n num_versions: -1 } }"), 3, "num_versions: Value out of range: -1"),
        ("model_config_list {\n config {\n", 2, 'config[0]: Expected "}".'),
        ("\n}", 2, "Expected identifier"),
        ('model_config_list { config { name: "m\n" } }', 1, "String missing ending quote"),
        (
            "models {}",
            1,
            "ModelServerConfig has no field 'models'. Its fields: model_config_list, custom_model_config.",
        ),
        (one("version_labels { kee: 1 }"), 1, "VersionLabelsEntry has no field 'kee'. Did you mean 'key'?"),
        (one("").replace('name: "m"', ""), 1, "config[0].name: is missing"),
        (one("").replace('base_path: "/m"', ""), 1, "config[0].base_path: is missing"),
        (one("model_type: OTHER"), 1, "model_type: OTHER is not supported."),
        (one('model_type: TENSORFLOW model_platform: "onnx"'), 1, "model_type: is set beside model_platform."),
        (one("model_version_policy { specific { } }"), 1, "specific: names no version"),
        (one('version_labels { key: "" value: 1 }'), 1, "the label of version 1 is empty"),
        (one("logging_config { sampling_config { sampling_rate: 2 } }"), 1, "expected a rate from 0 to 1, got 2."),
        (one("logging_config { sampling_config { sampling_rate: 1 } }"), 1, "no place for the log."),
        (
            one('logging_config { log_collector_config { type: "kafka" } }'),
            1,
            "log_collector_config.type: expected 'file' or none, got 'kafka'.",
        ),
        (
            one('logging_config { log_collector_config { filename_prefix: "logs/a" } }'),
            1,
            "filename_prefix: expected an absolute path, got 'logs/a'.",
        ),
        ("custom_model_config { }", 1, "custom_model_config: is not supported."),
        ("custom_model_config { [x.com/a.B] { c: 1 } }", 1, "a.B"),
    ],
)
def test_a_mistake(text, line, says):
    mistake, *_ = check(text, PLATFORMS).mistakes
    assert mistake.line == line
    assert says in mistake.message


def test_a_server_is_told_the_first_and_how_many_there_are():
    with pytest.raises(SetupError) as caught:
        models_in(MANY, Path("/etc/models.txt"), PLATFORMS)
    assert str(caught.value).startswith("--model_config_file=/etc/models.txt, line 6: model_config_list.config[0].")
    assert str(caught.value).endswith(" There are 5 more: unstuck check-config /etc/models.txt lists them.")


def test_a_base_path_may_be_remote():
    (model,) = check(one("").replace("/m", "s3://bucket/m"), PLATFORMS).models
    assert model.base_path == RemotePath("s3://bucket/m")
