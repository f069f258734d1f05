from asyncio import Future
from datetime import timedelta
from ssl import SSLContext
from types import TracebackType
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Type, TypeVar, Union

from tornado.ioloop import IOLoop

from kiel.clients.view import View
from kiel.retry import Backoff
from kiel.security.tls import TLS

_Self = TypeVar("_Self", bound="Client")

class Client:
    cluster: Any
    closing: bool
    heal_cluster: bool
    io_loop: Optional[IOLoop]
    settings: View[Any]
    def __init__(
        self,
        brokers: Union[str, Iterable[str]],
        client_id: str = ...,
        connect_timeout: Union[float, timedelta] = ...,
        request_timeout: Union[float, timedelta] = ...,
        metadata_max_age: float = ...,
        ssl: Union[bool, SSLContext, TLS, None] = ...,
        sasl: Any = ...,
        retry: Optional[Backoff] = ...,
        proxy: Optional[str] = ...,
        allow_auto_create_topics: bool = ...,
        hooks: Any = ...,
        enable_metrics_push: bool = ...,
    ) -> None: ...
    def __aenter__(self: _Self) -> Future[_Self]: ...
    def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> Future[None]: ...
    def connect(self, timeout: Union[float, timedelta, None] = ...) -> Future[None]: ...
    def close(self) -> Future[Any]: ...
    def health(self) -> Dict[str, Any]: ...
    def metrics(self) -> Any: ...
    def wind_down(self) -> Future[Any]: ...
    def send(self, request_by_broker: Mapping[int, Any], handler: Any = ...) -> Future[Dict[int, Any]]: ...
    def attempt(
        self,
        keys: Iterable[Any],
        round: Any,
        deadline: Optional[float] = ...,
        plan: Optional[Backoff] = ...,
        coordinator: Any = ...,
        closing: bool = ...,
    ) -> Future[Dict[Any, Any]]: ...
    def lose_coordinator(self) -> None: ...
