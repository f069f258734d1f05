"""Marks of these tests."""
from __future__ import absolute_import


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: starts every release of Kafka; `-m 'not slow'` leaves it out")
