"""Broken deployments, each with the cause that `unstuck diagnose` must name, and healthy ones, for which it must not.

Each module of ``CASES`` holds builders of one stage. A builder is written from the cause's definition alone, never from
what the diagnosis looks at; the held-out half is only scored, never tuned on.
"""

import importlib

from corpus.case import Case

STAGES = ("preprocessing", "mapping", "resources", "model", "healthy")


def cases() -> list[Case]:
    """Every case, in the order of the stages."""
    found = [case for stage in STAGES for case in importlib.import_module(f"corpus.{stage}").CASES]
    names = [case.name for case in found]
    assert len(names) == len(set(names)), "two cases have one name"
    return found
