"""
Kafka's protocol, bytes in and values out: no socket, no loop. ``errors`` is the table of error
codes by name.
"""
from __future__ import absolute_import

# hides the submodule of that name, as in kiel 0.9
from kiel.protocol.errors import errors  # noqa: F401

__all__ = ["errors"]
