"""Preparation and mapping, declared beside a model: what clients send, and how it becomes what the model takes.

No framework is known here: an engine compiles the declaration.
"""

from pathlib import Path

PLACE = Path("assets.extra/unstuck/pipeline.yaml")  # in a version's folder
PROFILE = PLACE.with_name("profile.json")
