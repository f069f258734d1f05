from kiel.exc import KielError

class Reject(Exception): ...

class HandlerTimeoutError(KielError):
    retriable: bool
