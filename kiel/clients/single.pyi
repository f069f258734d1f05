from datetime import datetime, timedelta
from ssl import SSLContext
from typing import Any, Awaitable, Callable, Iterable, Literal, Optional, Type, TypeVar, Union, overload

from kiel.clients.consumer import BaseConsumer
from kiel.clients.consuming.record import Record
from kiel.retry import Backoff
from kiel.security.tls import TLS

_T = TypeVar("_T")

EPOCH: datetime

def start_to_timestamp(start: Union[int, datetime, timedelta, None]) -> int: ...

class SingleConsumer(BaseConsumer[_T]):
    @overload
    def __init__(
        self: SingleConsumer[Any],
        brokers: Union[str, Iterable[str]],
        deserializer: None = ...,
        max_wait_time: float = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        buffer_bytes: int = ...,
        check_crcs: bool = ...,
        on_error: Optional[Callable[[Record[bytes], Exception], Any]] = ...,
        isolation_level: Literal["read_uncommitted", "read_committed"] = ...,
        offset_reset: Union[Literal["beginning", "end", "error"], float, timedelta, None] = ...,
        rack_id: Optional[str] = ...,
        max_records: Optional[int] = ...,
        *,
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
    @overload
    def __init__(
        self: SingleConsumer[bytes],
        brokers: Union[str, Iterable[str]],
        deserializer: Type[bytes],
        max_wait_time: float = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        buffer_bytes: int = ...,
        check_crcs: bool = ...,
        on_error: Optional[Callable[[Record[bytes], Exception], Any]] = ...,
        isolation_level: Literal["read_uncommitted", "read_committed"] = ...,
        offset_reset: Union[Literal["beginning", "end", "error"], float, timedelta, None] = ...,
        rack_id: Optional[str] = ...,
        max_records: Optional[int] = ...,
        *,
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
    @overload
    def __init__(
        self,
        brokers: Union[str, Iterable[str]],
        deserializer: Callable[[Any], Union[Awaitable[_T], _T]],
        max_wait_time: float = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        buffer_bytes: int = ...,
        check_crcs: bool = ...,
        on_error: Optional[Callable[[Record[bytes], Exception], Any]] = ...,
        isolation_level: Literal["read_uncommitted", "read_committed"] = ...,
        offset_reset: Union[Literal["beginning", "end", "error"], float, timedelta, None] = ...,
        rack_id: Optional[str] = ...,
        max_records: Optional[int] = ...,
        *,
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

__all__ = ["EPOCH", "SingleConsumer", "start_to_timestamp"]
