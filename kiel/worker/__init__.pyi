from kiel.worker.errors import HandlerTimeoutError as HandlerTimeoutError, Reject as Reject
from kiel.worker.output import Output as Output
from kiel.worker.worker import Worker as Worker

__all__ = ["HandlerTimeoutError", "Output", "Reject", "Worker"]
