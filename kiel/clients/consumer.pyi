from asyncio import Future
from datetime import datetime, timedelta
from ssl import SSLContext
from typing import Any, Awaitable, Callable, Dict, Generic, Iterable, List, Literal, Mapping, Optional, Pattern, Sequence, Set, Tuple
from typing import Type, TypeVar, Union, overload

from kiel.clients.client import Client
from kiel.clients.consuming.record import Record
from kiel.clients.consuming.stream import Stream
from kiel.clients.view import View
from kiel.retry import Backoff
from kiel.security.tls import TLS

_T = TypeVar("_T")
_Topic = Union[
    str, Sequence[str], Set[str], Pattern[str], Mapping[str, Union[int, Sequence[int], Set[int], None]],
]
_Start = Union[int, datetime, timedelta, None]
_Until = Union[int, datetime, timedelta, Mapping[int, int], None]

class BaseConsumer(Client, Generic[_T]):
    BEGINNING: int
    END: int
    name: str
    max_wait_time: int
    min_bytes: int
    max_bytes: int
    buffer_bytes: int
    max_records: Optional[int]
    isolation_level: int
    rack_id: Optional[str]
    check_crcs: bool
    deserializer: Callable[[Any], _T]
    on_error: Callable[[Record[bytes], Exception], Any]
    last_error: Optional[Exception]
    offsets: Any
    synced_offsets: Any
    @overload
    def __init__(
        self: BaseConsumer[Any],
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
        self: BaseConsumer[bytes],
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
    @property
    def allocation(self) -> Mapping[str, List[int]]: ...
    fetcher: View[Any]
    positions: View[Any]
    reader: View[Any]
    def consume(
        self,
        topic: _Topic,
        start: _Start = ...,
        max_wait_time: Optional[float] = ...,
        max_records: Optional[int] = ...,
    ) -> Future[List[_T]]: ...
    def consume_records(
        self,
        topic: _Topic,
        start: _Start = ...,
        max_wait_time: Optional[float] = ...,
        max_records: Optional[int] = ...,
    ) -> Future[List[Record[_T]]]: ...
    @overload
    def stream(
        self, topic: _Topic, start: _Start = ..., batches: Literal[False] = ..., until: _Until = ...
    ) -> Stream[_T]: ...
    @overload
    def stream(
        self, topic: _Topic, start: _Start = ..., *, batches: Literal[True], until: _Until = ...
    ) -> Stream[List[_T]]: ...
    @overload
    def stream_records(
        self, topic: _Topic, start: _Start = ..., batches: Literal[False] = ..., until: _Until = ...
    ) -> Stream[Record[_T]]: ...
    @overload
    def stream_records(
        self, topic: _Topic, start: _Start = ..., *, batches: Literal[True], until: _Until = ...
    ) -> Stream[List[Record[_T]]]: ...
    def seek(self, topic: str, partition: int, offset: Union[int, datetime, timedelta]) -> None: ...
    def pause(self, topic: str, partition: Optional[int] = ...) -> None: ...
    def resume(self, topic: str, partition: Optional[int] = ...) -> None: ...
    def position(self, topic: str, partition: int) -> Optional[int]: ...
    def lag(self, topic: str, partition: int) -> Optional[int]: ...
    def beginning_offsets(self, topic: str) -> Future[Dict[int, int]]: ...
    def end_offsets(self, topic: str) -> Future[Dict[int, int]]: ...
    def offsets_for_times(
        self, topic: str, when: Union[int, datetime, timedelta, Mapping[int, Union[int, datetime, timedelta]]]
    ) -> Future[Dict[int, Optional[Tuple[int, int]]]]: ...
    def determine_offsets(self, topic: str, start: _Start = ...) -> Future[Any]: ...
    def deserialize_messages(self, topic_name: str, partition: Any) -> List[_T]: ...
    def handle_fetch_response(self, response: Any) -> Any: ...
    def handle_offset_response(self, response: Any) -> Any: ...
    def log_error(self, record: Record[bytes], error: Exception) -> None: ...
