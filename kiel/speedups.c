/*
 * The loops that run once per record, in C: optional, as Tornado's speedups are. `kiel.speedups` says whether they are
 * there and used; everything works without them.
 *
 * Each function has a twin in Python which says what it has to do: `values`, `columns` and `rows` in
 * kiel.protocol.records_decode (`records` is the last two in one), `headers` in kiel.protocol.headers, `encode` in kiel.protocol.records_encode, `crc32c` in
 * kiel.protocol.crc32c, `murmur2` in kiel.partitioners, `take` in kiel.clients.producing.labelled_run. The tests run both
 * and compare, on hostile bytes too.
 *
 * No length that is read is trusted: it is held against the bytes that are left before anything is read, made or
 * skipped. What is wrong raises ValueError. Nothing here calls Python code while it holds a pointer into a list.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* counts up when what Python calls here changes: a file left over from another version is not used */
#define VERSION 3

#if PY_MAJOR_VERSION >= 3
#define BUFFER "y*"
#else
#define BUFFER "s*"
#define PyUnicode_AsUTF8AndSize(text, size) NULL
#endif

/* bytes of the smallest record: length, attributes, time stamp, offset, key, value, header count */
#define SMALLEST 7

typedef unsigned char byte;

static PyObject *nothing; /* the empty tuple */

/* -- checksums -- */

#define POLYNOMIAL 0x82F63B78u

static uint32_t crc_table[8][256];
static int crc_by_instruction;

static void crc_make_tables(void)
{
    for (uint32_t number = 0; number < 256; number++) {
        uint32_t crc = number;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        crc_table[0][number] = crc;
    }
    for (int row = 1; row < 8; row++)
        for (int number = 0; number < 256; number++)
            crc_table[row][number] = crc_table[row - 1][number] >> 8 ^ crc_table[0][crc_table[row - 1][number] & 255];
}

static uint32_t crc_of_table(uint32_t crc, const byte *at, size_t size)
{
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        crc = crc_table[7][low & 255] ^ crc_table[6][low >> 8 & 255] ^ crc_table[5][low >> 16 & 255]
            ^ crc_table[4][low >> 24] ^ crc_table[3][at[4]] ^ crc_table[2][at[5]] ^ crc_table[1][at[6]]
            ^ crc_table[0][at[7]];
    }
    for (; size; size--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *at++) & 255];
    return crc;
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAS_INSTRUCTION
__attribute__((target("sse4.2")))
static uint32_t crc_of_instruction(uint32_t crc, const byte *at, size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size; size--)
        crc = __builtin_ia32_crc32qi(crc, *at++);
    return crc;
}

/* The instruction has a result after three cycles, and can begin each cycle: so three lanes of a piece go side by side. */
#define LANE 1024

/* what LANE zeros make of a checksum that has but one byte, of which there are four */
static uint32_t crc_past_zeros[4][256];

static void crc_make_lanes(void)
{
    static const byte zeros[LANE];
    for (int place = 0; place < 4; place++)
        for (uint32_t number = 0; number < 256; number++)
            crc_past_zeros[place][number] = crc_of_instruction(number << 8 * place, zeros, LANE);
}

static inline uint32_t crc_past_lane(uint32_t crc)
{
    return crc_past_zeros[0][crc & 255] ^ crc_past_zeros[1][crc >> 8 & 255] ^ crc_past_zeros[2][crc >> 16 & 255]
        ^ crc_past_zeros[3][crc >> 24];
}

__attribute__((target("sse4.2")))
static uint32_t crc_of_lanes(uint32_t crc, const byte *at, size_t size)
{
    for (; size >= 3 * LANE; size -= 3 * LANE, at += 3 * LANE) {
        uint64_t first = crc, second = 0, third = 0;
        for (size_t place = 0; place < LANE; place += 8) {
            uint64_t words[3];
            memcpy(&words[0], at + place, 8);
            memcpy(&words[1], at + LANE + place, 8);
            memcpy(&words[2], at + 2 * LANE + place, 8);
            first = __builtin_ia32_crc32di(first, words[0]);
            second = __builtin_ia32_crc32di(second, words[1]);
            third = __builtin_ia32_crc32di(third, words[2]);
        }
        crc = crc_past_lane(crc_past_lane((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    return crc_of_instruction(crc, at, size);
}
#endif

static PyObject *speedups_crc32c(PyObject *self, PyObject *args)
{
    Py_buffer data;
    unsigned long before = 0;
    uint32_t crc;
    if (!PyArg_ParseTuple(args, BUFFER "|k:crc32c", &data, &before))
        return NULL;
    crc = (uint32_t)before ^ 0xFFFFFFFFu;
#ifdef HAS_INSTRUCTION
    if (crc_by_instruction)
        crc = crc_of_lanes(crc, data.buf, (size_t)data.len);
    else
#endif
        crc = crc_of_table(crc, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(crc ^ 0xFFFFFFFFu);
}

static PyObject *speedups_crc32c_by_table(PyObject *self, PyObject *args)
{
    Py_buffer data;
    unsigned long before = 0;
    uint32_t crc;
    if (!PyArg_ParseTuple(args, BUFFER "|k:crc32c_by_table", &data, &before))
        return NULL;
    crc = crc_of_table((uint32_t)before ^ 0xFFFFFFFFu, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(crc ^ 0xFFFFFFFFu);
}

static uint32_t murmur2(const byte *at, Py_ssize_t left)
{
    const uint32_t m = 0x5bd1e995u;
    uint32_t hash = 0x9747b28cu ^ (uint32_t)left;
    for (; left >= 4; left -= 4, at += 4) {
        uint32_t k = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        k *= m;
        k ^= k >> 24;
        hash = hash * m ^ k * m;
    }
    if (left) {
        for (Py_ssize_t place = 0; place < left; place++)
            hash ^= (uint32_t)at[place] << 8 * place;
        hash *= m;
    }
    hash = (hash ^ hash >> 13) * m;
    return hash ^ hash >> 15;
}

static PyObject *speedups_murmur2(PyObject *self, PyObject *args)
{
    Py_buffer data;
    if (!PyArg_ParseTuple(args, BUFFER ":murmur2", &data))
        return NULL;
    uint32_t hash = murmur2(data.buf, data.len);
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(hash);
}

/* -- reading -- */

/* Reads a zigzag varint of at most 32 or 64 bits; 0, or -1 when the bytes end before it does or it is longer. */
static inline int varint(const byte **at, const byte *end, int bits, int64_t *number)
{
    const byte *pos = *at;
    uint64_t raw = 0;
    int shift = 0;
    for (;;) {
        if (pos >= end)
            return -1;
        uint64_t part = *pos++;
        raw |= (part & 127) << shift;
        if (part < 128) {
            /* what of the last byte does not fit */
            if (shift + 7 > bits && part >> (bits - shift))
                return -1;
            break;
        }
        shift += 7;
        if (shift >= bits)
            return -1;
    }
    *at = pos;
    *number = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
    return 0;
}

/* A length and where the bytes are that have it: -1 for null, which is one byte and no more. */
static inline int sized(const byte **at, const byte *end, const byte **begin, Py_ssize_t *size)
{
    int64_t number;
    if (*at < end && **at == 1) {
        *begin = *at += 1;
        *size = -1;
        return 0;
    }
    if (varint(at, end, 32, &number) || number < 0 || number > end - *at)
        return -1;
    *begin = *at;
    *size = (Py_ssize_t)number;
    *at += number;
    return 0;
}

typedef struct {
    int64_t stamp, offset;
    const byte *key, *value, *headers;
    Py_ssize_t key_size, value_size, headers_size; /* without headers the last is 0 */
} Record;

/* Reads one record and moves on behind it; an error and NULL's -1 when it is not what it should be. */
static inline int read_record(const byte **at, const byte *end, Record *record)
{
    const byte *pos = *at, *stop;
    int64_t size;
    if (varint(&pos, end, 32, &size) || size < 0 || size > end - pos)
        goto wrong;
    stop = pos + size;
    pos++; /* attributes */
    if (pos >= stop || varint(&pos, stop, 64, &record->stamp) || varint(&pos, stop, 32, &record->offset)
        || sized(&pos, stop, &record->key, &record->key_size)
        || sized(&pos, stop, &record->value, &record->value_size) || pos >= stop)
        goto wrong;
    record->headers = pos;
    record->headers_size = *pos ? stop - pos : 0;
    if (!*pos && pos + 1 != stop)
        goto wrong;
    *at = stop;
    return 0;
wrong:
    PyErr_SetString(PyExc_ValueError, "a record that is not what its length or those of its parts say");
    return -1;
}

static PyObject *number_of(int64_t number)
{
#if PY_MAJOR_VERSION < 3
    if (number >= LONG_MIN && number <= LONG_MAX)
        return PyInt_FromLong((long)number);
#endif
    return PyLong_FromLongLong(number);
}

/* The sum of two numbers, which may be larger than either kind of C's. */
static PyObject *sum_of(int64_t base, int64_t delta)
{
    if (delta >= 0 ? base <= INT64_MAX - delta : base >= INT64_MIN - delta)
        return number_of(base + delta);
    PyObject *left = number_of(base), *right = number_of(delta), *sum = NULL;
    if (left && right)
        sum = PyNumber_Add(left, right);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return sum;
}

static PyObject *bytes_of(const byte *begin, Py_ssize_t size)
{
    if (size < 0)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)begin, size);
}

/* Whether the records can be in those bytes at all; an error if not. */
static int plausible(const Py_buffer *data, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t count)
{
    if (pos >= 0 && pos <= end && end <= data->len && count >= 0 && count <= (end - pos) / SMALLEST)
        return 1;
    PyErr_Format(PyExc_ValueError, "%zd records in bytes %zd to %zd of %zd", count, pos, end, data->len);
    return 0;
}

static int ended(const byte *at, const byte *end)
{
    if (at == end)
        return 1;
    PyErr_SetString(PyExc_ValueError, "records that end before their batch does");
    return 0;
}

static PyObject *speedups_values(PyObject *self, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t pos, stop, count;
    PyObject *out = NULL;
    if (!PyArg_ParseTuple(args, BUFFER "nnn:values", &data, &pos, &stop, &count))
        return NULL;
    if (plausible(&data, pos, stop, count) && (out = PyList_New(count)) != NULL) {
        const byte *at = (const byte *)data.buf + pos, *end = (const byte *)data.buf + stop;
        Record record;
        for (Py_ssize_t index = 0; index < count; index++) {
            PyObject *value;
            if (read_record(&at, end, &record) || (value = bytes_of(record.value, record.value_size)) == NULL) {
                Py_CLEAR(out);
                break;
            }
            PyList_SET_ITEM(out, index, value);
        }
        if (out && !ended(at, end))
            Py_CLEAR(out);
    }
    PyBuffer_Release(&data);
    return out;
}

/* A tuple of some class, not known to the garbage collector: the caller tracks it if it can be part of a circle. */
static inline PyObject *tuple_of(PyTypeObject *cls, Py_ssize_t size)
{
#if PY_VERSION_HEX < 0x030E0000
    /* what tp_alloc does, but that it need not be tracked first */
    PyTupleObject *made = PyObject_GC_NewVar(PyTupleObject, cls, size);
    if (made) {
        memset(made->ob_item, 0, (size_t)size * sizeof(PyObject *));
#if PY_VERSION_HEX < 0x03080000
        if (PyType_HasFeature(cls, Py_TPFLAGS_HEAPTYPE))
            Py_INCREF(cls);
#endif
    }
    return (PyObject *)made;
#else
    PyObject *made = cls->tp_alloc(cls, size);
    if (made)
        PyObject_GC_UnTrack(made);
    return made;
#endif
}

static int is_tuple_class(PyObject *cls)
{
    if (PyType_Check(cls) && PyType_IsSubtype((PyTypeObject *)cls, &PyTuple_Type)
        && ((PyTypeObject *)cls)->tp_basicsize == PyTuple_Type.tp_basicsize && !((PyTypeObject *)cls)->tp_dictoffset)
        return 1;
    PyErr_SetString(PyExc_TypeError, "not a class of tuples without attributes of its own");
    return 0;
}

/* What the records of a batch are made of. */
typedef struct {
    int64_t base_offset, base_stamp, last_delta;
    PyObject *append_time, *lazy, *last_stamp;
} Batch;

/* Makes the offset, time stamp, key, value and headers of a record; -1 with an error, and nothing then. */
static inline int parts_of(Batch *batch, const Record *record, PyObject **parts)
{
    int made = 0;
    if ((parts[made] = sum_of(batch->base_offset, record->offset)) == NULL)
        goto wrong;
    made++;
    if (batch->append_time != Py_None)
        parts[made] = batch->append_time;
    else {
        if (!batch->last_stamp || record->stamp != batch->last_delta) {
            PyObject *stamp = sum_of(batch->base_stamp, record->stamp);
            if (!stamp)
                goto wrong;
            Py_XDECREF(batch->last_stamp);
            batch->last_stamp = stamp;
            batch->last_delta = record->stamp;
        }
        parts[made] = batch->last_stamp;
    }
    Py_INCREF(parts[made]);
    made++;
    if ((parts[made] = bytes_of(record->key, record->key_size)) == NULL)
        goto wrong;
    made++;
    if ((parts[made] = bytes_of(record->value, record->value_size)) == NULL)
        goto wrong;
    made++;
    if (record->headers_size) {
        PyObject *raw = bytes_of(record->headers, record->headers_size);
        if (!raw || (parts[made] = tuple_of((PyTypeObject *)batch->lazy, 1)) == NULL) {
            Py_XDECREF(raw);
            goto wrong;
        }
        PyTuple_SET_ITEM(parts[made], 0, raw);
    } else {
        parts[made] = nothing;
        Py_INCREF(nothing);
    }
    return 0;
wrong:
    while (made) {
        made--;  /* not in the macro, which before Python 3.8 evaluates its argument more than once */
        Py_DECREF(parts[made]);
    }
    return -1;
}

static PyObject *speedups_columns(PyObject *self, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t pos, stop, count;
    long long base_offset, base_stamp;
    Batch batch = {0, 0, 0, NULL, NULL, NULL};
    PyObject *out = NULL, *columns[5] = {NULL, NULL, NULL, NULL, NULL};
    if (!PyArg_ParseTuple(args, BUFFER "nnnLLOO:columns", &data, &pos, &stop, &count, &base_offset, &base_stamp,
                          &batch.append_time, &batch.lazy))
        return NULL;
    batch.base_offset = base_offset;
    batch.base_stamp = base_stamp;
    if (!plausible(&data, pos, stop, count) || !is_tuple_class(batch.lazy))
        goto done;
    for (int number = 0; number < 5; number++)
        if ((columns[number] = PyList_New(count)) == NULL)
            goto done;
    const byte *at = (const byte *)data.buf + pos, *end = (const byte *)data.buf + stop;
    for (Py_ssize_t index = 0; index < count; index++) {
        Record record;
        PyObject *parts[5];
        if (read_record(&at, end, &record) || parts_of(&batch, &record, parts))
            goto done;
        for (int number = 0; number < 5; number++)
            PyList_SET_ITEM(columns[number], index, parts[number]);
    }
    if (ended(at, end))
        out = PyTuple_Pack(5, columns[0], columns[1], columns[2], columns[3], columns[4]);
done:
    for (int number = 0; number < 5; number++)
        Py_XDECREF(columns[number]);
    Py_XDECREF(batch.last_stamp);
    PyBuffer_Release(&data);
    return out;
}

/* The pair of a header, and where the next begins; NULL with an error, or without one when the bytes are wrong. */
static PyObject *read_header(const byte **at, const byte *end)
{
    const byte *name, *value;
    int64_t name_size, value_size;
    PyObject *text = NULL, *content = NULL, *pair = NULL;
    if (varint(at, end, 32, &name_size) || name_size < 0 || name_size > end - *at)
        return NULL;
    name = *at;
    *at += name_size;
    if (varint(at, end, 32, &value_size) || value_size > end - *at)
        return NULL;
    value = *at;
    if (value_size > 0)
        *at += value_size;
    text = PyUnicode_DecodeUTF8((const char *)name, (Py_ssize_t)name_size, "replace");
    content = bytes_of(value, value_size < 0 ? -1 : (Py_ssize_t)value_size);
    if (text && content && (pair = PyTuple_New(2)) != NULL) {
        PyObject_GC_UnTrack(pair);
        PyTuple_SET_ITEM(pair, 0, text);
        PyTuple_SET_ITEM(pair, 1, content);
        return pair;
    }
    Py_XDECREF(text);
    Py_XDECREF(content);
    return NULL;
}

static PyObject *speedups_headers(PyObject *self, PyObject *args)
{
    Py_buffer data;
    PyObject *out = NULL;
    int64_t count;
    if (!PyArg_ParseTuple(args, BUFFER ":headers", &data))
        return NULL;
    const byte *at = data.buf, *end = at + data.len;
    /* two lengths each at least */
    if (!varint(&at, end, 32, &count) && count >= 0 && count <= (end - at) / 2 && (out = PyTuple_New(count)) != NULL) {
        if (count)
            PyObject_GC_UnTrack(out);
        for (Py_ssize_t index = 0; index < count; index++) {
            PyObject *pair = read_header(&at, end);
            if (!pair) {
                Py_CLEAR(out);
                break;
            }
            PyTuple_SET_ITEM(out, index, pair);
        }
        if (out && at != end)
            Py_CLEAR(out);
    }
    PyBuffer_Release(&data);
    if (!out && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "headers that are not what their lengths say");
    return out;
}

/* Whether an object refers to nothing that could refer back: what consists of such things needs no collector. */
static inline int is_plain(PyObject *item, PyObject *lazy)
{
    return PyBytes_CheckExact(item) || item == Py_None || item == nothing || (PyObject *)Py_TYPE(item) == lazy
        || PyUnicode_CheckExact(item) || PyLong_CheckExact(item) || PyFloat_CheckExact(item)
#if PY_MAJOR_VERSION < 3
        || PyInt_CheckExact(item)
#endif
        || PyBool_Check(item);
}

static PyObject *speedups_rows(PyObject *self, PyObject *args)
{
    PyObject *cls, *lazy, *topic, *partition, *given[5], *columns[5] = {NULL, NULL, NULL, NULL, NULL}, *out = NULL;
    Py_ssize_t count = PY_SSIZE_T_MAX;
    if (!PyArg_ParseTuple(args, "OOOOOOOOO:rows", &cls, &lazy, &topic, &partition, &given[0], &given[1], &given[2],
                          &given[3], &given[4]))
        return NULL;
    if (!is_tuple_class(cls))
        return NULL;
    for (int number = 0; number < 5; number++) {
        /* a list may change while rows are made, when that sets off the garbage collector; a tuple can't */
        if ((columns[number] = PySequence_Tuple(given[number])) == NULL)
            goto done;
        if (PyTuple_GET_SIZE(columns[number]) < count)
            count = PyTuple_GET_SIZE(columns[number]);
    }
    int plain = is_plain(topic, lazy) && is_plain(partition, lazy);
    if ((out = PyList_New(count)) == NULL)
        goto done;
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *row = tuple_of((PyTypeObject *)cls, 7);
        int all_plain = plain;
        if (!row) {
            Py_CLEAR(out);
            break;
        }
        Py_INCREF(topic);
        PyTuple_SET_ITEM(row, 0, topic);
        Py_INCREF(partition);
        PyTuple_SET_ITEM(row, 1, partition);
        for (int number = 0; number < 5; number++) {
            PyObject *item = PyTuple_GET_ITEM(columns[number], index);
            Py_INCREF(item);
            PyTuple_SET_ITEM(row, number + 2, item);
            all_plain = all_plain && is_plain(item, lazy);
        }
        if (!all_plain)
            PyObject_GC_Track(row);
        PyList_SET_ITEM(out, index, row);
    }
done:
    for (int number = 0; number < 5; number++)
        Py_XDECREF(columns[number]);
    return out;
}

/* The same as `rows` of `columns`, without the columns in between. */
static PyObject *speedups_records(PyObject *self, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t pos, stop, count;
    long long base_offset, base_stamp;
    Batch batch = {0, 0, 0, NULL, NULL, NULL};
    PyObject *cls, *topic, *partition, *out = NULL;
    if (!PyArg_ParseTuple(args, BUFFER "nnnLLOOOOO:records", &data, &pos, &stop, &count, &base_offset, &base_stamp,
                          &batch.append_time, &batch.lazy, &cls, &topic, &partition))
        return NULL;
    batch.base_offset = base_offset;
    batch.base_stamp = base_stamp;
    if (!plausible(&data, pos, stop, count) || !is_tuple_class(batch.lazy) || !is_tuple_class(cls)
        || (out = PyList_New(count)) == NULL)
        goto done;
    int plain = is_plain(topic, batch.lazy) && is_plain(partition, batch.lazy) && is_plain(batch.append_time, batch.lazy);
    const byte *at = (const byte *)data.buf + pos, *end = (const byte *)data.buf + stop;
    for (Py_ssize_t index = 0; index < count; index++) {
        Record record;
        PyObject *parts[5], *row;
        if (read_record(&at, end, &record) || parts_of(&batch, &record, parts)) {
            Py_CLEAR(out);
            goto done;
        }
        if ((row = tuple_of((PyTypeObject *)cls, 7)) == NULL) {
            for (int number = 0; number < 5; number++)
                Py_DECREF(parts[number]);
            Py_CLEAR(out);
            goto done;
        }
        Py_INCREF(topic);
        PyTuple_SET_ITEM(row, 0, topic);
        Py_INCREF(partition);
        PyTuple_SET_ITEM(row, 1, partition);
        for (int number = 0; number < 5; number++)
            PyTuple_SET_ITEM(row, number + 2, parts[number]);
        if (!plain)
            PyObject_GC_Track(row);
        PyList_SET_ITEM(out, index, row);
    }
    if (!ended(at, end))
        Py_CLEAR(out);
done:
    Py_XDECREF(batch.last_stamp);
    PyBuffer_Release(&data);
    return out;
}

/* -- writing -- */

static inline size_t width_of(int64_t number)
{
    uint64_t raw = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    size_t width = 1;
    for (; raw > 127; raw >>= 7)
        width++;
    return width;
}

static inline byte *put(byte *out, int64_t number)
{
    uint64_t raw = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    for (; raw > 127; raw >>= 7)
        *out++ = (byte)((raw & 127) | 128);
    *out++ = (byte)raw;
    return out;
}

static inline byte *put_bytes(byte *out, const char *begin, Py_ssize_t size)
{
    out = put(out, size);
    memcpy(out, begin, (size_t)size);
    return out + size;
}

/* The bytes of a key, a value or a header; size -1 for None. -1 for what only Python can write. */
static inline int part_of(PyObject *item, const char **begin, Py_ssize_t *size)
{
    *begin = "";
    *size = -1;
    if (item == Py_None)
        return 0;
    if (!PyBytes_CheckExact(item))
        return -1;
    *begin = PyBytes_AS_STRING(item);
    *size = PyBytes_GET_SIZE(item);
    return 0;
}

/* The same of a header's name, which may be text. */
static inline int name_of(PyObject *item, const char **begin, Py_ssize_t *size)
{
    if (PyUnicode_CheckExact(item)) {
        *begin = PyUnicode_AsUTF8AndSize(item, size);
        if (!*begin)
            PyErr_Clear();
        return *begin ? 0 : -1;
    }
    return item == Py_None || part_of(item, begin, size) ? -1 : 0;
}

/* A header's two parts. */
static inline int pair_of(PyObject *pair, const char **begin, Py_ssize_t *size, const char **content, Py_ssize_t *width)
{
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
        return -1;
    return name_of(PyTuple_GET_ITEM(pair, 0), begin, size) || part_of(PyTuple_GET_ITEM(pair, 1), content, width);
}

/* How many headers there are; -1 for what only Python can write. */
static inline Py_ssize_t header_count(PyObject *headers)
{
    if (headers == Py_None)
        return 0;
    return PyList_CheckExact(headers) || PyTuple_CheckExact(headers) ? PySequence_Fast_GET_SIZE(headers) : -1;
}

/* Bytes of a part with its length. */
static inline size_t room_of(Py_ssize_t size)
{
    return size < 0 ? 1 : width_of(size) + (size_t)size;
}

/* Bytes of a record without its own length; -1 for what only Python can write. */
static Py_ssize_t record_room(int64_t stamp, int64_t offset, PyObject *key, PyObject *value, PyObject *headers)
{
    const char *begin, *content;
    Py_ssize_t size, width, count = header_count(headers);
    if (count < 0 || part_of(key, &begin, &size))
        return -1;
    size_t room = 1 + width_of(stamp) + width_of(offset) + room_of(size) + width_of(count);
    if (part_of(value, &begin, &size))
        return -1;
    room += room_of(size);
    for (Py_ssize_t index = 0; index < count; index++) {
        if (pair_of(PySequence_Fast_GET_ITEM(headers, index), &begin, &size, &content, &width))
            return -1;
        room += room_of(size) + room_of(width);
    }
    return (Py_ssize_t)room;
}

static inline byte *put_part(byte *out, PyObject *item)
{
    if (item == Py_None) {
        *out = 1;
        return out + 1;
    }
    return put_bytes(out, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item));
}

/* Writes what `record_room` has found to be in order. */
static byte *put_record(byte *out, int64_t stamp, int64_t offset, PyObject *key, PyObject *value, PyObject *headers)
{
    *out++ = 0;
    out = put(out, stamp);
    out = put(out, offset);
    out = put_part(out, key);
    out = put_part(out, value);
    Py_ssize_t count = header_count(headers);
    out = put(out, count);
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(headers, index);
        const char *begin;
        Py_ssize_t size;
        if (name_of(PyTuple_GET_ITEM(pair, 0), &begin, &size))
            return NULL;
        out = put_bytes(out, begin, size);
        out = put_part(out, PyTuple_GET_ITEM(pair, 1));
    }
    return out;
}

/* What stands at an index of a column that may be missing. */
static inline PyObject *cell(PyObject *column, Py_ssize_t index)
{
    return column == Py_None ? Py_None : PyList_GET_ITEM(column, index);
}

static int is_column(PyObject *column, Py_ssize_t count)
{
    return column == Py_None || (PyList_CheckExact(column) && PyList_GET_SIZE(column) == count);
}

/* The value of an integer of exactly that class, so that no code of anybody's runs; -1 for all else. */
static int integer(PyObject *item, int64_t *number)
{
#if PY_MAJOR_VERSION < 3
    if (PyInt_CheckExact(item)) {
        *number = PyInt_AS_LONG(item);
        return 0;
    }
#endif
    if (!PyLong_CheckExact(item))
        return -1;
    *number = PyLong_AsLongLong(item);
    if (*number == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    return 0;
}

/*
 * encode(keys, values, headers, starts, stamps): the records of a batch as bytes, or None for what only Python can
 * write. Goes over them twice: first how much room they take, then to write.
 */
static PyObject *speedups_encode(PyObject *self, PyObject *args)
{
    PyObject *keys, *values, *headers, *starts, *stamps, *made = NULL;
    if (!PyArg_ParseTuple(args, "OO!OO!O!:encode", &keys, &PyList_Type, &values, &headers, &PyList_Type, &starts,
                          &PyList_Type, &stamps))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(values), runs = PyList_GET_SIZE(starts);
    if (!is_column(keys, count) || !is_column(headers, count) || !runs || PyList_GET_SIZE(stamps) != runs)
        Py_RETURN_NONE;
    byte *out = NULL;
    for (int writing = 0; writing < 2; writing++) {
        size_t total = 0;
        int64_t first = 0, stamp = 0;
        Py_ssize_t run = 0, next = 0;
        for (Py_ssize_t index = 0; index < count; index++) {
            while (run < runs && index >= next) {
                int64_t number, start = count;
                /* nothing that a sum or a difference could be too large for */
                if (integer(PyList_GET_ITEM(stamps, run), &number)
                    || number > INT64_MAX / 2 || number < INT64_MIN / 2)
                    goto not_here;
                if (!run)
                    first = number;
                stamp = number - first;
                run++;
                if (run < runs && integer(PyList_GET_ITEM(starts, run), &start))
                    goto not_here;
                next = (Py_ssize_t)start;
            }
            PyObject *key = cell(keys, index), *value = PyList_GET_ITEM(values, index), *pairs = cell(headers, index);
            Py_ssize_t room = record_room(stamp, index, key, value, pairs);
            if (room < 0 || room > INT32_MAX)
                goto not_here;
            total += width_of(room) + (size_t)room;
            if (total > PY_SSIZE_T_MAX / 2)
                goto not_here;
            if (writing) {
                if (total > (size_t)PyBytes_GET_SIZE(made))
                    goto not_here;
                out = put_record(put(out, room), stamp, index, key, value, pairs);
                if (!out)
                    goto not_here;
            }
        }
        if (!writing) {
            if ((made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total)) == NULL)
                return NULL;
            out = (byte *)PyBytes_AS_STRING(made);
        } else if (total != (size_t)PyBytes_GET_SIZE(made))
            goto not_here;
    }
    return made;
not_here:
    Py_XDECREF(made);
    Py_RETURN_NONE;
}

/* -- taking messages -- */

/* What `taker` was given, in the tuple that its function is bound to; the entries of `left`; those of a place. */
enum { LEFT, PLACES, MAKE, DELIVERY, OVERHEAD, MOST };
enum { MESSAGES, BYTES, PARTITIONS, LEFT_SIZE };
enum { VALUES, KEYS, HEADERS, ROOM, BATCH, FIRST_ROOM, PLACE_SIZE };

static PyObject *batch_name, *index_name;

/* The number at an index of a list; -1 with an error where there is none that could be. */
static Py_ssize_t number_at(PyObject *list, Py_ssize_t index)
{
    int64_t number;
    if (!integer(PyList_GET_ITEM(list, index), &number) && number >= 0 && number <= PY_SSIZE_T_MAX)
        return (Py_ssize_t)number;
    PyErr_SetString(PyExc_TypeError, "no number of what is left");
    return -1;
}

/* Bytes, text as such, or None: a new reference. NULL for all else, which has no error, and with the error of text. */
static PyObject *octets_of(PyObject *item)
{
    if (PyUnicode_CheckExact(item))
        return PyUnicode_AsUTF8String(item);
    if (!PyBytes_CheckExact(item) && item != Py_None)
        return NULL;
    Py_INCREF(item);
    return item;
}

static Py_ssize_t letters_of(PyObject *name)
{
#if PY_MAJOR_VERSION >= 3
    return PyUnicode_CheckExact(name) ? PyUnicode_GET_LENGTH(name) : 0;
#else
    return PyBytes_CheckExact(name) ? PyBytes_GET_SIZE(name) : 0;
#endif
}

/* Headers as they are written, a tuple or None, and their bytes. NULL without an error for any that are not plain. */
static PyObject *headers_of(PyObject *headers, Py_ssize_t *size)
{
    PyObject *pairs, *items;
    *size = 0;
    if (PyDict_CheckExact(headers)) {
        if ((items = PyDict_Items(headers)) == NULL)
            return NULL;
        pairs = PyList_AsTuple(items);
        Py_DECREF(items);
    } else if (PyList_CheckExact(headers))
        pairs = PyList_AsTuple(headers);
    else if (PyTuple_CheckExact(headers) || headers == Py_None)
        Py_INCREF(pairs = headers);
    else
        return NULL;
    if (!pairs || pairs == Py_None)
        return pairs;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(pairs); index++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, index);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
            goto other;
        Py_ssize_t letters = letters_of(PyTuple_GET_ITEM(pair, 0));
        if (!letters || !PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 1)))
            goto other;
        *size += 10 + letters + PyBytes_GET_SIZE(PyTuple_GET_ITEM(pair, 1));
    }
    if (PyTuple_GET_SIZE(pairs))
        return pairs;
    Py_DECREF(pairs);
    Py_RETURN_NONE;
other:
    Py_DECREF(pairs);
    return NULL;
}

/* The place of that index, borrowed, which may have to be made; NULL where there is none, or with an error. */
static PyObject *place_of(PyObject *given, Py_ssize_t index, Py_ssize_t size)
{
    PyObject *places = PyTuple_GET_ITEM(given, PLACES), *number = number_of(index), *place, *made;
    if (!number)
        return NULL;
    place = PyDict_GetItem(places, number);
    if (!place && number_at(PyTuple_GET_ITEM(given, LEFT), MESSAGES) > 0) {
        made = PyObject_CallFunction(PyTuple_GET_ITEM(given, MAKE), (char *)"On", number, size);
        if (made && made != Py_False)
            place = PyDict_GetItem(places, number);
        Py_XDECREF(made);
    }
    Py_DECREF(number);
    if (place && !(PyList_CheckExact(place) && PyList_GET_SIZE(place) == PLACE_SIZE
                   && PyList_CheckExact(PyList_GET_ITEM(place, VALUES))
                   && PyList_CheckExact(PyList_GET_ITEM(place, KEYS))
                   && PyList_CheckExact(PyList_GET_ITEM(place, HEADERS)))) {
        PyErr_SetString(PyExc_TypeError, "no place of a labelled run");
        return NULL;
    }
    return place;
}

/* Appends to the columns of a place, to all or to none. */
static int append_all(PyObject *place, PyObject *value, PyObject *key, PyObject *headers)
{
    PyObject *items[3] = {value, key, headers};
    for (int column = VALUES; column <= HEADERS; column++)
        if (PyList_Append(PyList_GET_ITEM(place, column), items[column])) {
            while (--column >= VALUES) {
                PyObject *list = PyList_GET_ITEM(place, column);
                PyList_SetSlice(list, PyList_GET_SIZE(list) - 1, PyList_GET_SIZE(list), NULL);
            }
            return -1;
        }
    return 0;
}

/*
 * Appends a message of that size, if there is room: 1, or 0 if not, or -1 with an error. From the moment that it has its
 * place no code of anybody's runs, not by way of the garbage collector either.
 */
static int append(PyObject *given, PyObject *delivery, Py_ssize_t index, Py_ssize_t size, PyObject *key,
                  PyObject *value, PyObject *headers)
{
    PyObject *left = PyTuple_GET_ITEM(given, LEFT), *place = place_of(given, index, size), *numbers[3], *at;
    Py_ssize_t most, messages, bytes, room, count;
    if (!place)
        return PyErr_Occurred() ? -1 : 0;
    most = PyLong_AsSsize_t(PyTuple_GET_ITEM(given, MOST));
    messages = number_at(left, MESSAGES);
    bytes = number_at(left, BYTES);
    room = number_at(place, ROOM);
    if (messages < 0 || bytes < 0 || room < 0)
        return -1;
    count = PyList_GET_SIZE(PyList_GET_ITEM(place, VALUES));
    if (!messages || bytes < size || room < size || count >= most)
        return 0;
    at = number_of(count);
    numbers[0] = number_of(messages - 1);
    numbers[1] = number_of(bytes - size);
    numbers[2] = number_of(room - size);
    if (!at || !numbers[0] || !numbers[1] || !numbers[2]
        || PyObject_SetAttr(delivery, batch_name, PyList_GET_ITEM(place, BATCH))
        || PyObject_SetAttr(delivery, index_name, at) || append_all(place, value, key, headers)) {
        for (int number = 0; number < 3; number++)
            Py_XDECREF(numbers[number]);
        Py_XDECREF(at);
        return -1;
    }
    Py_DECREF(at);
    PyList_SetItem(left, MESSAGES, numbers[0]);
    PyList_SetItem(left, BYTES, numbers[1]);
    PyList_SetItem(place, ROOM, numbers[2]);
    return 1;
}

/* What `taker` returns: take(key, value, headers). Its twin is in kiel.clients.producing.labelled_run. */
static PyObject *take(PyObject *given, PyObject *args)
{
    PyObject *key = NULL, *value = NULL, *headers = NULL, *delivery = NULL, *out = NULL;
    PyTypeObject *cls = (PyTypeObject *)PyTuple_GET_ITEM(given, DELIVERY);
    Py_ssize_t size, more, index = -1, partitions;
    if (PyTuple_GET_SIZE(args) != 3) {
        PyErr_SetString(PyExc_TypeError, "take() takes key, value and headers");
        return NULL;
    }
    value = octets_of(PyTuple_GET_ITEM(args, 1));
    if (!value || value == Py_None || (key = octets_of(PyTuple_GET_ITEM(args, 0))) == NULL
        || (headers = headers_of(PyTuple_GET_ITEM(args, 2), &more)) == NULL)
        goto done;
    size = PyLong_AsSsize_t(PyTuple_GET_ITEM(given, OVERHEAD)) + PyBytes_GET_SIZE(value) + more;
    if (key != Py_None) {
        size += PyBytes_GET_SIZE(key);
        if ((partitions = number_at(PyTuple_GET_ITEM(given, LEFT), PARTITIONS)) < 0)
            goto done;
        if (partitions)
            index = (Py_ssize_t)(murmur2((const byte *)PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) & 0x7fffffffu)
                % partitions;
    }
    if ((delivery = cls->tp_alloc(cls, 0)) != NULL && append(given, delivery, index, size, key, value, headers) > 0) {
        out = delivery;
        Py_INCREF(out);
    }
done:
    Py_XDECREF(value);
    Py_XDECREF(key);
    Py_XDECREF(headers);
    Py_XDECREF(delivery);
    if (!out && !PyErr_Occurred())
        Py_RETURN_NONE;
    return out;
}

static PyMethodDef take_definition = {"take", take, METH_VARARGS, "take(key, value, headers): a Delivery, or None."};

/* taker(left, places, make, Delivery, overhead, most): a function that takes the messages of a run. */
static PyObject *speedups_taker(PyObject *self, PyObject *args)
{
    PyObject *left, *places, *make, *cls, *given, *out;
    Py_ssize_t overhead, most;
    if (!PyArg_ParseTuple(args, "O!O!OO!nn:taker", &PyList_Type, &left, &PyDict_Type, &places, &make, &PyType_Type, &cls,
                          &overhead, &most))
        return NULL;
    if (PyList_GET_SIZE(left) != LEFT_SIZE) {
        PyErr_SetString(PyExc_TypeError, "left has three numbers");
        return NULL;
    }
    given = Py_BuildValue("OOOONN", left, places, make, cls, PyLong_FromSsize_t(overhead), PyLong_FromSsize_t(most));
    if (!given)
        return NULL;
    out = PyCFunction_New(&take_definition, given);
    Py_DECREF(given);
    return out;
}

/* -- the module -- */

static PyMethodDef methods[] = {
    {"crc32c", speedups_crc32c, METH_VARARGS, "crc32c(data, value=0): the CRC-32C of bytes."},
    {"crc32c_by_table", speedups_crc32c_by_table, METH_VARARGS, "The same without the processor's instruction."},
    {"murmur2", speedups_murmur2, METH_VARARGS, "murmur2(data): MurmurHash 2 with Kafka's seed, unsigned."},
    {"values", speedups_values, METH_VARARGS, "values(data, pos, end, count): the values of records."},
    {"columns", speedups_columns, METH_VARARGS,
     "columns(data, pos, end, count, base_offset, base_timestamp, log_append_time, Headers): records as columns."},
    {"records", speedups_records, METH_VARARGS,
     "records(what columns takes, Record, topic, partition): a list of records."},
    {"headers", speedups_headers, METH_VARARGS, "headers(data): the headers of a record as a tuple of pairs."},
    {"rows", speedups_rows, METH_VARARGS,
     "rows(Record, Headers, topic, partition, offsets, timestamps, keys, values, headers): a list of records."},
    {"encode", speedups_encode, METH_VARARGS,
     "encode(keys, values, headers, starts, stamps): the records of a batch, or None."},
    {"taker", speedups_taker, METH_VARARGS,
     "taker(left, places, make, Delivery, overhead, most): take(key, value, headers) of a labelled run."},
    {NULL, NULL, 0, NULL}
};

static int prepare(PyObject *module)
{
    crc_make_tables();
#ifdef HAS_INSTRUCTION
    __builtin_cpu_init();
    crc_by_instruction = __builtin_cpu_supports("sse4.2") != 0;
    if (crc_by_instruction)
        crc_make_lanes();
#endif
    nothing = PyTuple_New(0);
#if PY_MAJOR_VERSION >= 3
    batch_name = PyUnicode_InternFromString("batch");
    index_name = PyUnicode_InternFromString("index");
#else
    batch_name = PyString_InternFromString("batch");
    index_name = PyString_InternFromString("index");
#endif
    return nothing == NULL || batch_name == NULL || index_name == NULL || PyModule_AddIntConstant(module, "VERSION", VERSION)
        || PyModule_AddStringConstant(module, "CRC32C", crc_by_instruction ? "SSE4.2" : "table") ? -1 : 0;
}

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_speedups", "See kiel.speedups.", -1, methods};

PyMODINIT_FUNC PyInit__speedups(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && prepare(module))
        Py_CLEAR(module);
    return module;
}
#else
PyMODINIT_FUNC init_speedups(void)
{
    PyObject *module = Py_InitModule3("_speedups", methods, "See kiel.speedups.");
    if (module)
        prepare(module);
}
#endif
