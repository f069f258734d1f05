from typing import Optional

class Backoff:
    first: float
    most: float
    factor: float
    jitter: float
    deadline: Optional[float]
    def __init__(
        self,
        first: float = ...,
        most: float = ...,
        factor: float = ...,
        jitter: float = ...,
        deadline: Optional[float] = ...,
    ) -> None: ...
    def start(self, deadline: Optional[float] = ...) -> Clock: ...

class Clock:
    plan: Backoff
    begun: float
    deadline: Optional[float]
    attempts: int
    def __init__(self, plan: Backoff, deadline: Optional[float]) -> None: ...
    @property
    def left(self) -> Optional[float]: ...
    @property
    def over(self) -> bool: ...
    def delay(self) -> Optional[float]: ...

def monotonic() -> float: ...
