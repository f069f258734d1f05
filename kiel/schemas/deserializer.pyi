from asyncio import Future
from typing import Any, Callable, Dict, Generic, Iterable, List, Optional, Tuple, TypeVar, Union

from kiel.clients.consuming.record import Record
from kiel.schemas.registry import Registry
from kiel.schemas.schema import Schema

_T = TypeVar("_T")
_Schema = Union[Schema, str, Dict[str, Any], List[Any], None]

class Deserializer(Generic[_T]):
    kind: Optional[str]
    indexed: bool
    registry: Registry
    schema: Optional[Schema]
    is_key: bool
    def __init__(
        self, registry: Registry, schema: _Schema = ..., from_dict: Optional[Callable[[Any], _T]] = ..., is_key: bool = ...
    ) -> None: ...
    def of_record(self, record: Record[bytes]) -> _T: ...
    def __call__(self, value: Any) -> _T: ...
    def decode(self, data: Optional[bytes], headers: Iterable[Tuple[str, Optional[bytes]]] = ...) -> Future[_T]: ...
