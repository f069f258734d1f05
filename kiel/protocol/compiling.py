"""From the table of a part to two functions that write and read it in one version."""
from __future__ import absolute_import

import linecache
import struct

import six

from kiel import exc
from kiel.protocol import inlined, lengths


def within(version, versions):
    """Return whether a version is in a range, which may be None: in none."""
    return versions is not None and versions[0] <= version <= versions[1]


def compile_codec(cls, version, flexible):
    """
    Make the functions (write, read) of a part for one version.

    The only place where kiel writes code as text, with `kiel.protocol.inlined`. Fields of a fixed width that
    stand side by side share one struct call; any other field is a call to its type's codec, but for short
    texts, arrays of parts and message sets, which are written out. `linecache` gets the text, so that
    tracebacks show it.
    """
    names = {"cls": cls, "new": cls.__new__, "ZERO": lengths.ZERO, "absent": _absent,
             "read_tags": read_tags, "write_tags": _write_tags, "add_tag": _add_tag, "range": six.moves.range}
    names.update(inlined.NAMES)
    write = ["def write(add, self):"]
    read = []
    known = {}
    tagged = []
    run = []
    here = [field for field in cls.fields if within(version, field.versions)]
    present = set(field.name for field in here)

    def end_run():
        if not run:
            return
        packer = struct.Struct(">" + "".join(field.kind.fmt for field in run))
        at = run[0].name
        names["pack_" + at], names["unpack_" + at] = packer.pack, packer.unpack_from
        write.append("    add(pack_%s(%s))" % (at, ", ".join("self." + field.name for field in run)))
        read.append("    %s, = unpack_%s(buff, offset)" % (
            ", ".join("self." + field.name for field in run), at))
        read.append("    offset += %d" % packer.size)
        del run[:]

    for field in cls.fields:
        names["D_" + field.name] = field.default
        if field.name in present:
            continue
        if not field.ignorable:
            write.append("    if %s:" % field.test("self." + field.name))
            write.append("        absent(self, %r, %d)" % (field.name, version))
        if field.is_array and field.default is not None:
            read.append("    self.%s = []" % field.name)
    for field in here:
        if field.tag is None and getattr(field.kind, "fmt", None):
            run.append(field)
            continue
        pair = field.kind.codec(version, flexible, within(version, field.nullable))
        names["write_" + field.name], names["read_" + field.name] = pair
        if field.tag is not None:
            tagged.append(field)
            known[field.tag] = field.name, pair[1]
            if field.is_array and field.default is not None:
                read.append("    self.%s = []" % field.name)
            continue
        end_run()
        for text, more in zip(
            (write, read), inlined.lines(field, version, flexible, within(version, field.nullable), names)
        ):
            text.extend(more)
    end_run()
    if tagged:
        write.append("    tags = []")
        for field in sorted(tagged, key=lambda field: field.tag):
            subject = "self." + field.name
            write.append("    if %s:" % field.test(subject))
            write.append("        add_tag(tags, %d, write_%s, %s)" % (field.tag, field.name, subject))
        write.append("    write_tags(add, tags)")
    elif flexible:
        write.append("    add(b'\\0')")
    if flexible:
        names["known"] = known
        read.append("    if buff[offset] == ZERO:")
        read.append("        offset += 1")
        read.append("    else:")
        read.append("        offset = read_tags(self, buff, offset, known)")
    write.append("    return None")
    one = ["def read(buff, offset):", "    self = new(cls)"] + read + ["    return self, offset"]
    # the same in a loop, for arrays: a call for each item takes longer than many an item
    many = ["def read_many(buff, offset, count):", "    items = []", "    append = items.append",
            "    for _ in range(count):", "        self = new(cls)"]
    many += ["    " + line for line in read] + ["        append(self)", "    return items, offset"]
    text = "\n".join(write + [""] + one + [""] + many) + "\n"
    filename = "<%s.%s version %d%s>" % (
        cls.__module__, cls.__name__, version, " flexible" if flexible else "")
    six.exec_(compile(text, filename, "exec"), names)
    linecache.cache[filename] = len(text), None, text.splitlines(True), filename
    names["read"].many = names["read_many"]
    return names["write"], names["read"]


def _absent(part, name, version):
    raise exc.UnsupportedVersionError("%s: version %d can't tell %s=%r" % (
        type(part).__name__, version, name, getattr(part, name)))


def _add_tag(tags, tag, write, value):
    out = []
    write(out.append, value)
    tags.append((tag, b"".join(out)))


def _write_tags(add, tags):
    lengths.write_unsigned_varint(add, len(tags))
    for tag, data in tags:
        lengths.write_unsigned_varint(add, tag)
        lengths.write_unsigned_varint(add, len(data))
        add(data)


def read_tags(part, buff, offset, known):
    """Set the tagged fields that are there; those nobody knows are stepped over."""
    count, offset = lengths.read_unsigned_varint(buff, offset)
    for _ in six.moves.range(count):
        tag, offset = lengths.read_unsigned_varint(buff, offset)
        size, offset = lengths.read_unsigned_varint(buff, offset)
        end = offset + size
        if end > len(buff):
            raise ValueError("tagged field %d is cut off" % tag)
        if tag in known:
            name, read = known[tag]
            value, offset = read(buff, offset)
            if offset != end:
                raise ValueError("tagged field %d has a wrong size" % tag)
            setattr(part, name, value)
        offset = end
    return offset


def skip_tags(buff, offset):
    """Step over the tagged fields of a header: return the new offset."""
    return read_tags(None, buff, offset, {})
