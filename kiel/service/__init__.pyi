from kiel.service.health import HealthHandler as HealthHandler
from kiel.service.stop import GracefulStop as GracefulStop

__all__ = ["GracefulStop", "HealthHandler"]
