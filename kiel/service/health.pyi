from asyncio import Future
from typing import Any, Iterable, List, Mapping, Tuple, Union

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler


class HealthHandler(RequestHandler):
    clients: Any
    details: bool
    def __init__(
        self, application: Application, request: HTTPServerRequest, clients: Any, details: bool = ...
    ) -> None: ...
    def get(self, what: str) -> Future[None]: ...
    def compute_etag(self) -> None: ...

def named(clients: Union[Mapping[str, Any], Iterable[Any]]) -> List[Tuple[str, Any]]: ...
