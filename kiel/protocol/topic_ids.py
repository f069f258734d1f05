"""Topics by id instead of name: what the apis share whose newest versions do so (KIP-516)."""
from __future__ import absolute_import

#: the id of no topic
NO_TOPIC = b"\0" * 16


def all_known(topics):
    """Whether every one of these topics has an id, so that a version without names can be used."""
    return all(topic.topic_id != NO_TOPIC for topic in topics)


def fill_names(answered, asked, known=None):
    """
    Gives the answer's topics, which came with ids only, the names they had in the request.

    :param known: {topic id: name} of those that the request left out
    """
    names = None
    for topic in answered:
        if not topic.name:
            if names is None:
                names = dict(known or ())
                names.update((topic.topic_id, topic.name) for topic in asked)
            topic.name = names.get(topic.topic_id, "")
