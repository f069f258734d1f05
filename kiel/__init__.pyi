from os import PathLike
from ssl import TLSVersion
from typing import Callable, Optional, Tuple, Union

from kiel.security.tls import TLS

_Path = Union[str, PathLike[str]]

version_info: Tuple[int, int, int]
__version__: str

def ssl(
    *,
    cafile: Optional[_Path] = ...,
    capath: Optional[_Path] = ...,
    cadata: Union[str, bytes, None] = ...,
    certfile: Optional[_Path] = ...,
    keyfile: Optional[_Path] = ...,
    password: Union[str, bytes, Callable[[], Union[str, bytes]], None] = ...,
    check_hostname: bool = ...,
    ciphers: Optional[str] = ...,
    minimum_version: Optional[TLSVersion] = ...,
) -> TLS: ...
