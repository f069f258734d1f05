"""Imports every api's module, so that `request.classes` and `response.classes` are filled."""
from __future__ import absolute_import

import importlib

from kiel import constants

#: api name -> the module of `kiel.protocol` that defines it
MODULES = dict((api, "coordinator" if api == "group_coordinator" else api) for api in constants.API_KEYS)

for _module in MODULES.values():
    importlib.import_module("kiel.protocol." + _module)
