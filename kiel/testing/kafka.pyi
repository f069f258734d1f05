from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

CONTROLLER_ID: int

class Kafka:
    release: Any
    version: str
    mode: str
    settings: Dict[str, Any]
    tls: bool
    sasl: Tuple[str, ...]
    users: Dict[str, str]
    client_auth: bool
    tls_names: Tuple[str, ...]
    host: str
    port: Optional[int]
    heap: str
    start_timeout: float
    jvm: Tuple[str, ...]
    jars: Tuple[str, ...]
    protocol: str
    brokers: List[Any]
    controller: Any
    zookeeper: Any
    directory: Optional[str]
    cluster_id: Optional[str]
    classpath: Any
    authority: Any
    ca_file: Optional[str]
    client_cert: Optional[str]
    client_key: Optional[str]
    def __init__(
        self,
        version: str = ...,
        brokers: int = ...,
        mode: Optional[str] = ...,
        settings: Optional[Mapping[str, Any]] = ...,
        tls: bool = ...,
        sasl: Union[str, Iterable[str], None] = ...,
        zookeeper: Any = ...,
        users: Optional[Mapping[str, str]] = ...,
        client_auth: bool = ...,
        tls_names: Iterable[str] = ...,
        host: str = ...,
        heap: str = ...,
        start_timeout: float = ...,
        jvm: Iterable[str] = ...,
        jars: Iterable[str] = ...,
        port: Optional[int] = ...,
    ) -> None: ...
    def start(self) -> Kafka: ...
    def stop(self) -> None: ...
    def __enter__(self) -> Kafka: ...
    def __exit__(self, *exc_info: Any) -> None: ...
    @property
    def nodes(self) -> List[Any]: ...
    @property
    def bootstrap(self) -> List[str]: ...
    @property
    def plaintext(self) -> List[str]: ...
    @property
    def zk_hosts(self) -> Optional[List[str]]: ...
    def zookeeper_client(self) -> Any: ...
    @property
    def live_brokers(self) -> List[Any]: ...
    def metadata(self) -> Any: ...
    def log(self, tail: int = ...) -> str: ...
    def topic(self, name: Optional[str] = ..., partitions: int = ..., **options: Any) -> str: ...
    def create_topic(
        self,
        name: str,
        partitions: int = ...,
        replicas: int = ...,
        config: Optional[Mapping[str, Any]] = ...,
        assignment: Optional[Mapping[int, List[int]]] = ...,
        timeout: float = ...,
    ) -> None: ...
    def create_partitions(
        self, name: str, count: int, assignment: Optional[Mapping[int, List[int]]] = ..., timeout: float = ...
    ) -> None: ...
    def alter_topic(self, name: str, config: Mapping[str, Any]) -> None: ...
    def delete_topic(self, name: str, timeout: float = ...) -> None: ...
    def wait_topic(self, name: str, partitions: Iterable[int], timeout: float = ...) -> None: ...
    def run_tool(self, *args: Any, **options: Any) -> str: ...
    def jvm_options(self) -> Any: ...
    def broker_settings(self, broker: Any) -> Dict[str, Any]: ...
