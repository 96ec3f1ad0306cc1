"""The base of all evidence."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class Evidence(BaseModel):
    """What one experiment found. Frozen; ``model_dump_json`` writes it, ``model_validate_json`` reads it again."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class NotRun(Exception):
    """An experiment could not be done; ``str`` of it says why, and becomes the ``why`` of a not-tested finding."""


Found = Mapping[type[Evidence], "Evidence | str"]  # by kind, the evidence, or why there is none
