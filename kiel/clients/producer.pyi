from asyncio import Future
from collections.abc import Coroutine
from datetime import datetime, timedelta
from ssl import SSLContext
from typing import Any, Awaitable, Callable, Dict, Generator, Iterable, List, Literal, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from kiel.clients.client import Client
from kiel.clients.grouped import GroupedConsumer
from kiel.clients.producing.delivery import Deliveries, Delivery, RecordMetadata
from kiel.clients.producing.transaction_scope import TransactionScope
from kiel.clients.view import View
from kiel.retry import Backoff
from kiel.security.tls import TLS

_T = TypeVar("_T")
_Headers = Union[Mapping[str, Union[bytes, str, None]], Iterable[Tuple[str, Union[bytes, str, None]]]]
_Bytes = Union[bytes, str, None]
_Serializer = Callable[[Any], Union[_Bytes, Awaitable[_Bytes]]]
_Codec = Union[int, Literal["gzip", "snappy", "lz4", "zstd"], None]
_Partitioner = Union[Literal["murmur2", "random"], Callable[[Any, List[int]], int], None]

class Promise(Future[_T], Coroutine[Any, Any, _T]):  # type: ignore[misc]
    def __await__(self) -> Generator[Any, None, _T]: ...

def serialize_json(message: Any) -> str: ...
def no_key(message: Any) -> None: ...

class Producer(Client):
    close_timeout: float
    serializer: _Serializer
    key_maker: Callable[[Any], Any]
    @property
    def partitioner(self) -> Callable[[Any, List[int]], int]: ...
    @partitioner.setter
    def partitioner(self, partitioner: _Partitioner) -> None: ...
    @property
    def compression(self) -> Optional[int]: ...
    @compression.setter
    def compression(self, compression: _Codec) -> None: ...
    batch_size: Optional[int]
    linger: Optional[float]
    @property
    def required_acks(self) -> int: ...
    @property
    def ack_timeout(self) -> int: ...
    transactional_id: View[Optional[str]]
    undelivered: View[Dict[Tuple[str, Optional[int]], int]]
    buffered: View[int]
    @property
    def unsent_count(self) -> int: ...
    @property
    def unsent(self) -> Dict[str, List[Any]]: ...
    @property
    def sent(self) -> Dict[int, Dict[str, Dict[int, List[Any]]]]: ...
    identity: View[Any]
    def __init__(
        self,
        brokers: Union[str, Iterable[str]],
        serializer: Optional[_Serializer] = ...,
        key_maker: Optional[Callable[[Any], Any]] = ...,
        partitioner: _Partitioner = ...,
        batch_size: Optional[int] = ...,
        compression: _Codec = ...,
        required_acks: int = ...,
        ack_timeout: float = ...,
        linger: Optional[float] = ...,
        max_request_bytes: int = ...,
        buffer_bytes: int = ...,
        delivery_timeout: float = ...,
        idempotent: Optional[bool] = ...,
        transactional_id: Optional[str] = ...,
        transaction_timeout: float = ...,
        max_in_flight: Optional[int] = ...,
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
    def produce(
        self,
        topic: str,
        message: Any,
        key: Union[bytes, str, None] = ...,
        partition: Optional[int] = ...,
        headers: Optional[_Headers] = ...,
        timestamp: Union[float, datetime, None] = ...,
        timeout: Union[float, timedelta, None] = ...,
    ) -> Promise[Delivery]: ...
    def produce_and_wait(
        self,
        topic: str,
        message: Any,
        key: Union[bytes, str, None] = ...,
        partition: Optional[int] = ...,
        headers: Optional[_Headers] = ...,
        timestamp: Union[float, datetime, None] = ...,
        timeout: Union[float, timedelta, None] = ...,
    ) -> Promise[RecordMetadata]: ...
    def produce_nowait(
        self,
        topic: str,
        message: Any,
        key: Union[bytes, str, None] = ...,
        partition: Optional[int] = ...,
        headers: Optional[_Headers] = ...,
        timestamp: Union[float, datetime, None] = ...,
    ) -> Delivery: ...
    def produce_many(
        self,
        topic: str,
        messages: Iterable[Any],
        keys: Optional[Iterable[Union[bytes, str, None]]] = ...,
        partition: Optional[int] = ...,
    ) -> Future[Deliveries]: ...
    def flush(self, timeout: Union[float, timedelta, None] = ...) -> Future[None]: ...
    def close(
        self, timeout: Union[float, timedelta, None] = ...
    ) -> Future[Dict[Tuple[str, Optional[int]], int]]: ...
    def transaction(self) -> TransactionScope: ...
    def begin(self) -> Future[None]: ...
    def commit(self) -> Future[None]: ...
    def abort(self) -> Future[None]: ...
    def send_offsets(
        self, consumer: GroupedConsumer[Any], offsets: Optional[Mapping[str, Mapping[int, int]]] = ...
    ) -> Future[Dict[Tuple[str, int], int]]: ...
    def handle_produce_response(self, response: Any) -> None: ...
