from asyncio import Future
from datetime import timedelta
from ssl import SSLContext
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Literal, Mapping, Optional, Tuple, Type, TypeVar, Union, overload

from kiel.clients.consumer import BaseConsumer
from kiel.clients.consuming.record import Record
from kiel.retry import Backoff
from kiel.security.tls import TLS

_T = TypeVar("_T")
_Partitions = Dict[str, List[int]]

def naive_allocator(members: Any, partitions: Any) -> Dict[str, Dict[str, List[int]]]: ...

PartitionAllocator: Any

class GroupedConsumer(BaseConsumer[_T]):
    group_name: str
    group_protocol: Optional[Literal["classic", "consumer"]]
    autocommit: Union[bool, Literal["processed"]]
    rebalance_timeout: float
    on_rebalance: Optional[Callable[[_Partitions, _Partitions], Any]]
    on_lost: Optional[Callable[[_Partitions], Any]]
    topics_to_commit: Any
    coordinator_id: Optional[int]
    allocator: Any
    @overload
    def __init__(
        self: GroupedConsumer[Any],
        brokers: Union[str, Iterable[str]],
        group: str,
        zk_hosts: Union[str, Iterable[str], None] = ...,
        deserializer: None = ...,
        partition_allocator: Optional[Callable[[Any, Any], Any]] = ...,
        autocommit: Union[bool, Literal["processed"]] = ...,
        max_wait_time: float = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        rebalance_timeout: float = ...,
        topics: Union[str, Iterable[str]] = ...,
        on_rebalance: Optional[Callable[[_Partitions, _Partitions], Any]] = ...,
        on_lost: Optional[Callable[[_Partitions], Any]] = ...,
        group_protocol: Optional[Literal["classic", "consumer"]] = ...,
        group_instance_id: Optional[str] = ...,
        assignors: Any = ...,
        session_timeout: float = ...,
        heartbeat_interval: float = ...,
        max_poll_interval: Optional[float] = ...,
        slow_callback: Optional[float] = ...,
        *,
        buffer_bytes: int = ...,
        check_crcs: bool = ...,
        on_error: Optional[Callable[[Record[bytes], Exception], Any]] = ...,
        isolation_level: Literal["read_uncommitted", "read_committed"] = ...,
        offset_reset: Union[Literal["beginning", "end", "error"], float, timedelta, None] = ...,
        rack_id: Optional[str] = ...,
        max_records: Optional[int] = ...,
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
        self: GroupedConsumer[bytes],
        brokers: Union[str, Iterable[str]],
        group: str,
        zk_hosts: Union[str, Iterable[str], None] = ...,
        *,
        deserializer: Type[bytes],
        partition_allocator: Optional[Callable[[Any, Any], Any]] = ...,
        autocommit: Union[bool, Literal["processed"]] = ...,
        max_wait_time: float = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        rebalance_timeout: float = ...,
        topics: Union[str, Iterable[str]] = ...,
        on_rebalance: Optional[Callable[[_Partitions, _Partitions], Any]] = ...,
        on_lost: Optional[Callable[[_Partitions], Any]] = ...,
        group_protocol: Optional[Literal["classic", "consumer"]] = ...,
        group_instance_id: Optional[str] = ...,
        assignors: Any = ...,
        session_timeout: float = ...,
        heartbeat_interval: float = ...,
        max_poll_interval: Optional[float] = ...,
        slow_callback: Optional[float] = ...,
        buffer_bytes: int = ...,
        check_crcs: bool = ...,
        on_error: Optional[Callable[[Record[bytes], Exception], Any]] = ...,
        isolation_level: Literal["read_uncommitted", "read_committed"] = ...,
        offset_reset: Union[Literal["beginning", "end", "error"], float, timedelta, None] = ...,
        rack_id: Optional[str] = ...,
        max_records: Optional[int] = ...,
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
        group: str,
        zk_hosts: Union[str, Iterable[str], None] = ...,
        *,
        deserializer: Callable[[Any], Union[Awaitable[_T], _T]],
        partition_allocator: Optional[Callable[[Any, Any], Any]] = ...,
        autocommit: Union[bool, Literal["processed"]] = ...,
        max_wait_time: float = ...,
        min_bytes: int = ...,
        max_bytes: int = ...,
        rebalance_timeout: float = ...,
        topics: Union[str, Iterable[str]] = ...,
        on_rebalance: Optional[Callable[[_Partitions, _Partitions], Any]] = ...,
        on_lost: Optional[Callable[[_Partitions], Any]] = ...,
        group_protocol: Optional[Literal["classic", "consumer"]] = ...,
        group_instance_id: Optional[str] = ...,
        assignors: Any = ...,
        session_timeout: float = ...,
        heartbeat_interval: float = ...,
        max_poll_interval: Optional[float] = ...,
        slow_callback: Optional[float] = ...,
        buffer_bytes: int = ...,
        check_crcs: bool = ...,
        on_error: Optional[Callable[[Record[bytes], Exception], Any]] = ...,
        isolation_level: Literal["read_uncommitted", "read_committed"] = ...,
        offset_reset: Union[Literal["beginning", "end", "error"], float, timedelta, None] = ...,
        rack_id: Optional[str] = ...,
        max_records: Optional[int] = ...,
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
    def commit_offsets(
        self, metadata: Optional[str] = ..., offsets: Optional[Mapping[str, Mapping[int, int]]] = ...
    ) -> Future[None]: ...
    def committed_offsets(
        self,
        keys: Iterable[Tuple[str, int]],
        deadline: Optional[float] = ...,
        tell: Optional[Callable[[Tuple[str, int], int], Any]] = ...,
    ) -> Future[Dict[Tuple[str, int], Any]]: ...
    def determine_coordinator(self) -> Future[bool]: ...
    def handed_out(self) -> Dict[Tuple[str, int], int]: ...
    def signature(self, keys: Iterable[Tuple[str, int]]) -> Any: ...
    def note_committed(self, offsets: Mapping[Tuple[str, int], int]) -> None: ...
    def rewind(self) -> None: ...
    def handle_group_coordinator_response(self, response: Any) -> Any: ...
    def handle_offset_fetch_response(self, response: Any) -> Any: ...
    def handle_offset_commit_response(self, response: Any) -> Any: ...
