from typing import Any, Callable, Iterable, Optional, Type, TypeVar, overload

from kiel.schemas.deserializer import Deserializer
from kiel.schemas.registry import Registry
from kiel.schemas.serializer import Serializer, _Ids, _Subject, _Use

_T = TypeVar("_T")

class ProtobufSerializer(Serializer):
    kind: str
    def __init__(
        self,
        registry: Registry,
        *,
        subject: _Subject = ...,
        use: _Use = ...,
        normalize: bool = ...,
        ids: _Ids = ...,
        is_key: bool = ...,
    ) -> None: ...
    def record_name(self, message: Any) -> str: ...

class ProtobufDeserializer(Deserializer[_T]):
    kind: str
    @overload
    def __init__(self, registry: Registry, types: Type[_T], *, from_dict: None = ..., is_key: bool = ...) -> None: ...
    @overload
    def __init__(
        self: ProtobufDeserializer[Any],
        registry: Registry,
        types: Optional[Iterable[Type[Any]]] = ...,
        *,
        from_dict: None = ...,
        is_key: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self, registry: Registry, types: Any = ..., *, from_dict: Callable[[Any], _T], is_key: bool = ...
    ) -> None: ...
