"""The packages that the kinds of schemas need."""
from __future__ import absolute_import

import pytest

from tests.needs import needed


@pytest.fixture
def fastavro():
    """Avro's package."""
    return needed("fastavro", "pip install fastavro")


@pytest.fixture
def jsonschema():
    """JSON Schema's package."""
    return needed("jsonschema", "pip install jsonschema")


@pytest.fixture
def protobuf():
    """Protobuf's package."""
    return needed("google.protobuf", "pip install protobuf")
