"""What a deserializer may be and return: a function of a value or of a record, and something to wait for."""
from __future__ import absolute_import

from kiel import exc
from kiel.clients.consuming.record import Record
from kiel.events import finished, ignore, outcome_of


def of_records(deserializer):
    """
    Return a deserializer's own method for whole records, None where it has none.

    ``deserializer.of_record(record)`` is called with a `Record` whose value are the bytes, instead of
    ``deserializer(value)``, where the message is in more than its value: in its headers, or by its topic.
    """
    method = getattr(type(deserializer), "of_record", None)
    return None if method is None else deserializer.of_record


def read(deserializer, record):
    """Return what a deserializer returns of a record with a raw value."""
    of_record = of_records(deserializer)
    return deserializer(record.value) if of_record is None else of_record(record)


def with_value(record, value):
    """Return a record with another value."""
    return Record(*(record[:5] + (value,) + record[6:]))


def waits(value):
    """Return whether a deserializer returned something to wait for: a Future or a coroutine."""
    return hasattr(value, "add_done_callback") or hasattr(value, "__await__")


def some_wait(values):
    """Return whether there is anything to wait for among values: asked once for each type, so that many cost little."""
    return any(waits(kind) for kind in set(map(type, values)))


def settle(values, start, failed):
    """
    Put results in the place of what has to be waited for, from an index on: a generator of what that is.

    Where something fails, the values from there on are dropped, and its error is added to a list.
    """
    pending = [(index, ignore(outcome_of(values[index])))
               for index in range(start, len(values)) if waits(values[index])]
    for index, future in pending:
        if not future.done():
            yield finished(future)
        try:
            values[index] = future.result()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            failed.append(error)
            del values[index:]
            return


def stays(error):
    """
    Return whether an error is no fault of the message, which is not to be skipped then.

    So it is where a schema registry does not answer, or refuses the login; errors of kiel's own say it.
    """
    return isinstance(error, exc.KielError) and (error.retriable or getattr(error, "of_any_message", False))
