"""What every test of a pipeline's steps needs: ``files_of``, each module's own, served, and baked and loaded."""

import pytest
from pipeline_cases import baked as baked_of
from pipeline_cases import by_engine, by_load, by_loader


@pytest.fixture(scope="module")
def served(files_of):
    """``served(name, rows)``: what the pipeline's model answers."""
    return by_engine(*files_of)


@pytest.fixture(scope="module")
def baked(files_of):
    return baked_of(*files_of)


@pytest.fixture(
    scope="module",
    params=["served", *(pytest.param(each, marks=pytest.mark.slow) for each in (by_engine, by_loader, by_load))],
)
def answered(request):
    """``answered(name, rows)``: served, or baked and loaded in one of the ways that there are."""
    if request.param == "served":
        return request.getfixturevalue("served")
    return request.param(request.getfixturevalue("baked"))
