"""What a service needs around its clients: an end in good order, and answers to those who ask how it is."""
from __future__ import absolute_import

from kiel.service.health import HealthHandler
from kiel.service.stop import GracefulStop

__all__ = ["GracefulStop", "HealthHandler"]
