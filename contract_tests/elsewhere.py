"""Rows of the catalogue of faults whose test stands in another module, by its name."""

import importlib


def is_a_test(place: str) -> bool:
    """Whether `module.name` is a test of this suite."""
    module, _, name = place.partition(".")
    found = getattr(importlib.import_module(f"contract_tests.{module}"), name, None)
    return callable(found) and name.startswith("test_")
