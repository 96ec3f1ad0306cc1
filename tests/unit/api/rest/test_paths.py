import pytest

from unstuck.api.rest.paths import Action, parse, parse_among
from unstuck.core.models import ModelSpec
from unstuck.errors import InvalidRequest, MalformedPath, VersionOverflow

MAX = 2**63 - 1


@pytest.mark.parametrize(
    ("method", "path", "action", "spec"),
    [
        ("POST", "/v1/models/m:predict", Action.PREDICT, ModelSpec("m")),
        ("POST", "/v1/models/m:classify", Action.CLASSIFY, ModelSpec("m")),
        ("POST", "/v1/models/m:regress", Action.REGRESS, ModelSpec("m")),
        ("POST", "/v1/models/m/versions/7:predict", Action.PREDICT, ModelSpec("m", 7)),
        ("POST", "/v1/models/m/labels/stable:predict", Action.PREDICT, ModelSpec("m", label="stable")),
        ("POST", "/V1/Models/m/Versions/7:predict", Action.PREDICT, ModelSpec("m", 7)),
        ("POST", "/v1/models/M:predict", Action.PREDICT, ModelSpec("M")),
        ("POST", "/v1/models/a b+c.é-_%:predict", Action.PREDICT, ModelSpec("a b+c.é-_%")),
        ("POST", "/v1/models/m/labels/a b:predict", Action.PREDICT, ModelSpec("m", label="a b")),
        ("GET", "/v1/models/m", Action.STATUS, ModelSpec("m")),
        ("GET", "/v1/models/m/versions/7", Action.STATUS, ModelSpec("m", 7)),
        ("GET", "/v1/models/m/labels/l", Action.STATUS, ModelSpec("m", label="l")),
        ("GET", "/v1/models/m/metadata", Action.METADATA, ModelSpec("m")),
        ("GET", "/v1/models/m/versions/7/metadata", Action.METADATA, ModelSpec("m", 7)),
        ("GET", "/v1/models/m/labels/l/metadata", Action.METADATA, ModelSpec("m", label="l")),
        ("GET", f"/v1/models/m/versions/{MAX}", Action.STATUS, ModelSpec("m", MAX)),
        ("GET", "/v1/models/m/versions/" + "0" * 60 + "12", Action.STATUS, ModelSpec("m", 12)),
        ("GET", "/v1/models/m/versions/0", Action.STATUS, ModelSpec("m", 0)),
    ],
)
def test_a_path_and_its_meaning(method, path, action, spec):
    route = parse(method, path)
    assert (route.action, route.spec) == (action, spec)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/v1/models/m:predict") for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "post")),
        *((method, "/v1/models/m") for method in ("POST", "PUT", "DELETE", "PATCH")),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m:predictx"),
        ("POST", "/v1/models/m:multi_inference"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models:predict"),
        ("POST", "/v1/models/m/metadata:predict"),
        ("POST", "/v1/models/m/versions/:predict"),
        ("POST", "/v1/models/m/versions/x:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/versions/1/labels/l:predict"),
        ("POST", "/v1/models/a/b:predict"),
        ("POST", "/v1/models/m:predict\n"),
        ("POST", "/v2/models/m:predict"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/m/metadata/"),
        ("GET", "/v1/models/m/version/1"),
        ("GET", "/v1/models/m/versions/1.0"),
        ("GET", "/v1/"),
        ("GET", ""),
    ],
)
def test_what_is_no_path_of_the_api(method, path):
    with pytest.raises(MalformedPath) as caught:
        parse(method, path)
    assert str(caught.value).startswith(f"Malformed request: {method} " + path.replace("\n", "\\n"))
    assert ":predict" in caught.value.hint


@pytest.mark.parametrize("digits", [str(MAX + 1), "1" + "0" * 19, "1" + "0" * 5000], ids=["next", "longer", "endless"])
@pytest.mark.parametrize(("method", "verb"), [("POST", ":predict"), ("GET", ""), ("GET", "/metadata")])
def test_a_version_beyond_64_bits(digits, method, verb):
    with pytest.raises(VersionOverflow) as caught:
        parse(method, f"/v1/models/m/versions/{digits}{verb}")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/metadata"])
def test_a_path_without_a_name(path):
    if path.endswith("metadata"):  # "metadata" is a name here, as in TensorFlow Serving's expression
        assert parse("GET", path).spec == ModelSpec("metadata")
    else:
        with pytest.raises(InvalidRequest, match="Missing model name"):
            parse("GET", path)


NAMES = ["m", "a/b", "a/b/c", "x:y"]


@pytest.mark.parametrize(
    ("method", "path", "action", "spec"),
    [
        ("POST", "/v1/models/a/b:predict", Action.PREDICT, ModelSpec("a/b")),
        ("POST", "/v1/models/a/b/c:predict", Action.PREDICT, ModelSpec("a/b/c")),
        ("POST", "/v1/models/a/b/versions/3:predict", Action.PREDICT, ModelSpec("a/b", 3)),
        ("GET", "/v1/models/a/b", Action.STATUS, ModelSpec("a/b")),
        ("GET", "/v1/models/a/b/metadata", Action.METADATA, ModelSpec("a/b")),
        ("POST", "/v1/models/x:y:predict", Action.PREDICT, ModelSpec("x:y")),
        ("POST", "/V1/models/x:y/labels/l:predict", Action.PREDICT, ModelSpec("x:y", label="l")),
        ("POST", "/v1/models/m:predict", Action.PREDICT, ModelSpec("m")),
        ("POST", "/v1/models/x:predict", Action.PREDICT, ModelSpec("x")),
    ],
)
def test_a_name_with_a_slash_or_a_colon_is_told_from_the_rest(method, path, action, spec):
    route = parse_among(method, path, NAMES)
    assert (route.action, route.spec) == (action, spec)


@pytest.mark.parametrize("path", ["/v1/models/a/x:predict", "/v1/models/a/bc:predict"])
def test_a_name_that_only_starts_like_one_served_is_no_path(path):
    with pytest.raises((MalformedPath, InvalidRequest)):
        assert parse_among("POST", path, NAMES).spec.name not in NAMES
