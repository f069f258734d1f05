from typing import Any, Generic, Iterable, Optional, Tuple, TypeVar

_T = TypeVar("_T")

class Record(Tuple[Any, ...], Generic[_T]):
    fields: Tuple[str, ...]
    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> Optional[bytes]: ...
    @property
    def value(self) -> _T: ...
    @property
    def headers(self) -> Tuple[Tuple[str, Optional[bytes]], ...]: ...
    def __new__(
        cls,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int = ...,
        key: Optional[bytes] = ...,
        value: _T = ...,
        headers: Iterable[Tuple[str, Optional[bytes]]] = ...,
    ) -> Record[_T]: ...
