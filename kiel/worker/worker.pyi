from asyncio import Future
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, Generic, List, Literal, Optional, TypeVar, Union

from kiel.clients.consuming.record import Record
from kiel.clients.grouped import GroupedConsumer
from kiel.clients.producer import Producer
from kiel.retry import Backoff

_T = TypeVar("_T")

class Worker(Generic[_T]):
    topics: List[str]
    consumer: GroupedConsumer[_T]
    concurrency: int
    order: Optional[str]
    error: Optional[BaseException]
    io_loop: Any
    @property
    def numbers(self) -> Dict[str, Union[int, float]]: ...
    def __init__(
        self,
        consumer: GroupedConsumer[_T],
        handler: Callable[[Record[_T]], Any],
        concurrency: int = ...,
        order: Optional[Literal["key", "partition"]] = ...,
        retry: Optional[Backoff] = ...,
        dead_letters: Union[str, Callable[[Record[Any], BaseException, int], Any], None] = ...,
        timeout: Optional[float] = ...,
        executor: Optional[Executor] = ...,
        start: Union[int, str, datetime, timedelta, None] = ...,
        producer: Optional[Producer] = ...,
        transaction_messages: Optional[int] = ...,
        transaction_seconds: Optional[float] = ...,
    ) -> None: ...
    def run(self) -> Future[None]: ...
    def drain(self, timeout: Optional[float] = ...) -> Future[Any]: ...
    def health(self) -> Dict[str, Any]: ...
