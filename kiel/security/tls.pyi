from os import PathLike
from ssl import SSLContext, TLSVersion
from typing import Callable, Optional, Union

_Path = Union[str, PathLike[str]]

class TLS:
    def __init__(
        self,
        cafile: Optional[_Path] = ...,
        capath: Optional[_Path] = ...,
        cadata: Union[str, bytes, None] = ...,
        certfile: Optional[_Path] = ...,
        keyfile: Optional[_Path] = ...,
        password: Union[str, bytes, Callable[[], Union[str, bytes]], None] = ...,
        check_hostname: bool = ...,
        ciphers: Optional[str] = ...,
        minimum_version: Optional[TLSVersion] = ...,
    ) -> None: ...
    def context(self) -> SSLContext: ...
