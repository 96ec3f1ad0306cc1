"""The results as JSON, for programs."""

import orjson

from unstuck.bench.results import Results


def as_json(results: Results) -> str:
    return orjson.dumps(results.as_dict(), option=orjson.OPT_INDENT_2).decode() + "\n"
