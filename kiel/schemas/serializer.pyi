from asyncio import Future
from typing import Any, Callable, Dict, List, Literal, Optional, Tuple, Union

from kiel.schemas.registry import Registry
from kiel.schemas.schema import Schema

_Schema = Union[Schema, str, Dict[str, Any], List[Any], None]
_Subject = Union[Literal["topic", "record", "topic-record"], Callable[[str, Optional[str], bool], str]]
_Use = Union[Literal["register", "existing", "latest"], int]
_Ids = Literal["prefix", "header"]

REGISTER: Literal["register"]
EXISTING: Literal["existing"]
LATEST: Literal["latest"]
USES: Tuple[str, str, str]
IDS: Tuple[str, str]

class Serializer:
    kind: Optional[str]
    brings_schema: bool
    registry: Registry
    schema: Optional[Schema]
    use: _Use
    normalize: bool
    ids: str
    is_key: bool
    def __init__(
        self,
        registry: Registry,
        schema: _Schema = ...,
        subject: _Subject = ...,
        use: _Use = ...,
        normalize: bool = ...,
        ids: _Ids = ...,
        is_key: bool = ...,
        to_dict: Optional[Callable[[Any], Any]] = ...,
    ) -> None: ...
    def __call__(self, message: Any) -> Any: ...
    def serialize(self, topic: str, message: Any) -> Any: ...
    def encode(self, topic: str, message: Any) -> Future[Optional[bytes]]: ...
    def forget(self) -> None: ...
    def record_name(self, message: Any) -> Optional[str]: ...

class Writer:
    id: int
    prefix: bytes
    headers: Optional[Tuple[Tuple[str, bytes], ...]]
    write: Callable[[Any], bytes]
    def __init__(
        self,
        id: int,
        prefix: bytes,
        headers: Optional[Tuple[Tuple[str, bytes], ...]],
        write: Callable[[Any], bytes],
    ) -> None: ...
