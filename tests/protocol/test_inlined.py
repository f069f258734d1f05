"""What is written into the functions of a part is what the functions of its fields' types do."""
from __future__ import absolute_import

import pytest

from kiel.protocol import compiling, inlined, part, request, response

from tests.fuzz import targets
from tests.protocol import random_messages

CLASSES = sorted(
    [cls for of in (request, response) for cls in of.classes.values() if cls.version_range is not None],
    key=lambda cls: cls.__name__)


def plain_lines(field, version, flexible, nullable, names):
    """Calls and nothing else, as the twin has it."""
    return (["    write_%s(add, self.%s)" % (field.name, field.name)],
            ["    self.%s, offset = read_%s(buff, offset)" % (field.name, field.name)])


def parts_within(cls):
    """A class and those of the parts in it."""
    found = [cls]
    for field in cls.fields:
        kind = getattr(field.kind, "item_class", field.kind)
        if issubclass(kind, part.Part):
            found += parts_within(kind)
    return found


def outcome(read, write, data):
    """What reading gives, written again, and where it ends; an error's class."""
    try:
        value, end = read(data, 0)
    except part.BAD_BYTES as error:
        return type(error)
    out = []
    try:
        write(out.append, value)
    except ValueError:  # a null where there may be none
        out.append("%d" % len(out))
    return [str(piece) for piece in out], end


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_common_cases_and_all_others_as_by_calls(cls, monkeypatch):
    rnd = random_messages.seeded()
    for version in range(cls.version_range[0], cls.version_range[1] + 1):
        flexible = cls.is_flexible(version)
        for one in set(parts_within(cls)):
            if one.version_range is not None and not compiling.within(version, one.version_range):
                continue
            write, read = compiling.compile_codec(one, version, flexible)
            with monkeypatch.context() as patch:
                patch.setattr(inlined, "lines", plain_lines)
                plain_write, plain_read = compiling.compile_codec(one, version, flexible)
            for _ in range(2 if one is cls else 1):
                made = targets.fit(targets.part_of(one, rnd), version)
                ours, plain = [], []
                try:
                    plain_write(plain.append, made)
                except Exception as error:
                    with pytest.raises(type(error)):
                        write(ours.append, made)
                    continue
                write(ours.append, made)
                data = b"".join(ours)
                assert data == b"".join(plain)
                assert outcome(read, plain_write, data) == outcome(plain_read, plain_write, data)
                for _ in range(2):
                    wrong = bytearray(data[:rnd.randrange(len(data) + 1)] if rnd.random() < 0.5 else data)
                    for _ in range(rnd.randrange(3) if wrong else 0):
                        wrong[rnd.randrange(len(wrong))] = rnd.choice((0, 1, 2, 127, 128, 129, 255))
                    found, expected = (outcome(each, plain_write, bytes(wrong)) for each in (read, plain_read))
                    assert found == expected, (one, version, bytes(wrong))
