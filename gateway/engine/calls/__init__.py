"""Calls to sources: within the limits their mappings declare, and never more of them than are needed."""

from gateway.engine.calls.calls import Calls

__all__ = ["Calls"]
