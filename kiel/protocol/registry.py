"""Imports every api's module, so that `request.classes` and `response.classes` are filled."""
from __future__ import absolute_import

import importlib

#: the modules of `kiel.protocol` that define an api each
MODULES = (
    "api_versions", "coordinator", "fetch", "metadata", "offset", "offset_commit", "offset_fetch", "produce",
    "sasl_authenticate", "sasl_handshake",
)

for _name in MODULES:
    importlib.import_module("kiel.protocol." + _name)
