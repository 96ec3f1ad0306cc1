"""Unstuck beside other Python model servers, on the same models: ``./dev bench peers`` (see ``__main__``)."""
