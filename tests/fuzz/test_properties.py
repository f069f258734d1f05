"""What holds for all messages, tried on random ones; the seed is printed, and ``KIEL_SEED`` sets it."""
from __future__ import absolute_import

import pytest

from kiel import compression, exc
from kiel.protocol import messages, registry, response

from tests.fuzz import targets
from tests.protocol import random_messages

assert registry.MODULES

CODECS = [0] + [flag for flag, codec in sorted(compression.codecs.items()) if codec.available]


@pytest.mark.parametrize("api", sorted(response.classes))
def test_every_response_is_read_as_it_was_written(api):
    rnd = random_messages.seeded()
    cls = response.classes[api]
    for version in range(cls.version_range[0], cls.version_range[1] + 1):
        done = 0
        for _ in range(6):
            made = targets.fit(targets.part_of(cls, rnd), version)
            try:
                written = made.encode(version)
            except (ValueError, exc.KielError):  # a value that the version can't tell
                continue
            read, end = cls.decode(written + b"behind", 0, version)
            assert end == len(written)
            assert read.encode(version) == written
            done += 1
            # cut off anywhere it is an error of kiel's, never a shorter message
            cut = rnd.randrange(len(written)) if written else 0
            with pytest.raises(exc.KielError):
                if not written:
                    raise exc.ProtocolError("nothing to cut")
                cls.decode(written[:cut], 0, version)
        assert done, "no message of %s version %d could be written" % (api, version)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("magic", (0, 1, 2))
def test_batches_one_after_the_other_are_read_one_after_the_other(magic, codec):
    if magic < 2 and codec == 4:
        pytest.skip("zstd came with magic 2")
    rnd = random_messages.seeded()
    for _ in range(5):
        parts = [random_messages.messages(rnd, 30, headers=magic == 2) for _ in range(3)]
        data = b"".join(messages.encode_batch(part, magic, codec, 1500000000000) for part in parts)
        values = [value for batch in messages.batches(data) for value in batch.values()]
        assert values == [message[1] for part in parts for message in part]
        records = [record[3] for batch in messages.batches(data) for record in batch.records()]
        assert records == values


@pytest.mark.parametrize("codec", CODECS[1:])
def test_what_is_compressed_comes_out_as_it_was_or_not_at_all(codec):
    rnd = random_messages.seeded()
    for _ in range(12):
        data = random_messages.some_bytes(rnd, rnd.choice((0, 1, 100, 5000))) * rnd.choice((1, 1, 20))
        squeezed = compression.compress(codec, data)
        assert compression.decompress(codec, squeezed) == data
        if data:
            with pytest.raises(exc.CorruptMessageError) as caught:
                compression.decompress(codec, squeezed, len(data) - 1)
            assert str(caught.value)
            cut = squeezed[:rnd.randrange(len(squeezed))]
            try:
                assert data.startswith(compression.decompress(codec, cut))
            except exc.CorruptMessageError:
                pass
