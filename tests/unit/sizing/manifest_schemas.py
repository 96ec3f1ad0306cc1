"""The schemas that manifests must fit, as packages ship them: nothing is fetched.

Kubernetes': kubernetes-validate. Compose's: check-jsonschema. ServiceMonitor: the Prometheus operator's models for
Python. KServe: its SDK, whose classes are read and not imported, as they would bring a web framework and more.
"""

import ast
import json
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

KUBERNETES = ("1.29", "1.37")
DEFINITIONS = "https://kubernetes.io/api/_definitions.json"
CORE = f"{DEFINITIONS}#/$defs/io.k8s.api.core.v1."
META = f"{DEFINITIONS}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "float": "number", "object": "object"}


def check(document: dict[str, Any]) -> None:
    """Raises ValidationError where a Kubernetes object, KServe's and Prometheus' among them, does not fit."""
    if document["apiVersion"].startswith("serving.kserve.io/"):
        _kserve(document["kind"], document["apiVersion"].rpartition("/")[2]).validate(document)
    elif document["apiVersion"].startswith("monitoring.coreos.com/"):
        _service_monitor().validate(document)
    else:
        for version in KUBERNETES:
            _kubernetes(document["kind"], document["apiVersion"], version).validate(document)


@cache
def _kubernetes(kind: str, api: str, version: str) -> Draft202012Validator:
    group = api if "/" in api else f"core/{api}"
    definition = f"{DEFINITIONS}#/$defs/io.k8s.api.{group.replace('/', '.')}.{kind}"
    return Draft202012Validator({"$ref": definition}, registry=_definitions(version))


@cache
def _definitions(version: str) -> "Registry[Any]":
    """Those of one version of Kubernetes, which know no keys but those that they declare."""
    file = f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json"
    text = files("kubernetes_validate").joinpath(file).read_text()
    return (Resource.from_contents(json.loads(text)) @ Registry()).crawl()


@cache
def compose() -> Draft202012Validator:
    text = files("check_jsonschema.builtin_schemas.vendor").joinpath("compose-spec.json").read_text()
    return Draft202012Validator(json.loads(text))  # it says draft 7, and closes services as later drafts do


@cache
def _service_monitor() -> Draft202012Validator:
    from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor

    return Draft202012Validator(_closed(ServiceMonitor.model_json_schema(by_alias=True)))


def _closed(schema: Any) -> Any:
    """No further keys where keys are declared: the operator's own server drops them in silence."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    return {**closed, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


@cache
def _kserve(kind: str, version: str) -> Draft202012Validator:
    root = f"{version.capitalize()}{kind}"
    found: dict[str, Any] = {}
    _add(root, found)
    return Draft202012Validator({"$ref": f"#/$defs/{root}", "$defs": found}, registry=_definitions(KUBERNETES[-1]))


def _add(name: str, found: dict[str, Any]) -> None:
    """The schema of one class of the SDK, and of those that it is made of."""
    if name in found:
        return
    if name not in _classes():  # as V1alpha1WorkerSpec, which the SDK names and does not have
        found[name] = {}
        return
    types, keys, required = _class(name)
    found[name] = schema = {"type": "object", "additionalProperties": False, "required": required}
    schema["properties"] = {keys[field]: _type(kind, found) for field, kind in types.items()}


def _type(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if kind.startswith("list["):
        return {"type": "array", "items": _type(kind[5:-1], found)}
    if kind.startswith("dict("):
        return {"type": "object", "additionalProperties": _type(kind[5:-1].split(", ")[1], found)}
    if kind.startswith(("V1alpha1", "V1beta1")):
        _add(kind, found)
        return {"$ref": f"#/$defs/{kind}"}
    if kind == "V1ObjectMeta":
        return {"$ref": META}
    if kind.startswith("V1"):
        return {"$ref": CORE + kind.removeprefix("V1")}
    return {}  # a quantity, or another value of Kubernetes' that may be text or a number


def _class(name: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """The types of a class's fields, their keys in JSON, and the keys that must be there."""
    tree = _classes()[name]
    said = {
        str(getattr(each.targets[0], "id", "")): ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Dict)
    }
    keys = said["attribute_map"]
    text = ast.unparse(tree)
    return said["openapi_types"], keys, [key for field, key in keys.items() if f"`{field}`, must not be `None`" in text]


@cache
def _classes() -> dict[str, ast.ClassDef]:
    folder = Path(str(distribution("kserve").locate_file("kserve/models")))
    trees = [ast.parse(file.read_text()) for file in folder.glob("v1*.py")]
    return {each.name: each for tree in trees for each in tree.body if isinstance(each, ast.ClassDef)}
