from typing import Any, Dict, Iterable, List, Literal, NamedTuple, Optional, Tuple, Union

AVRO: Literal["AVRO"]
JSON: Literal["JSON"]
PROTOBUF: Literal["PROTOBUF"]
KINDS: Tuple[str, str, str]

class Reference(NamedTuple):
    name: str
    subject: str
    version: int

class Schema:
    text: str
    kind: str
    references: Tuple[Reference, ...]
    def __init__(
        self,
        text: Union[str, bytes, Dict[str, Any], List[Any]],
        kind: Literal["AVRO", "JSON", "PROTOBUF"] = ...,
        references: Iterable[Union[Reference, Tuple[str, str, int]]] = ...,
    ) -> None: ...
    def __eq__(self, other: object) -> bool: ...
    def __ne__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
    def to_json(self) -> Dict[str, Any]: ...

class Registered(NamedTuple):
    schema: Schema
    id: int
    subject: Optional[str]
    version: Optional[int]
    guid: Optional[str]

class Compatibility(NamedTuple):
    compatible: bool
    messages: List[str]
    def __bool__(self) -> bool: ...
    def __nonzero__(self) -> bool: ...

def of(schema: Any, kind: str = ...) -> Schema: ...
def registered(answer: Any, subject: Optional[str] = ..., schema: Optional[Schema] = ...) -> Registered: ...
