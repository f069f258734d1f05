from typing import Any, Callable, Optional, TypeVar, overload

from kiel.schemas.deserializer import Deserializer, _Schema as _ReadersSchema
from kiel.schemas.registry import Registry
from kiel.schemas.serializer import Serializer, _Ids, _Schema, _Subject, _Use

_T = TypeVar("_T")

class JSONSerializer(Serializer):
    validate: bool
    kind: str
    def __init__(
        self,
        registry: Registry,
        schema: _Schema = ...,
        validate: bool = ...,
        *,
        subject: _Subject = ...,
        use: _Use = ...,
        normalize: bool = ...,
        ids: _Ids = ...,
        is_key: bool = ...,
        to_dict: Optional[Callable[[Any], Any]] = ...,
    ) -> None: ...
    def record_name(self, message: Any) -> Optional[str]: ...

class JSONDeserializer(Deserializer[_T]):
    validate: bool
    kind: str
    @overload
    def __init__(
        self: JSONDeserializer[Any],
        registry: Registry,
        schema: _ReadersSchema = ...,
        validate: bool = ...,
        *,
        from_dict: None = ...,
        is_key: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        registry: Registry,
        schema: _ReadersSchema = ...,
        validate: bool = ...,
        *,
        from_dict: Callable[[Any], _T],
        is_key: bool = ...,
    ) -> None: ...
