"""The names by which a test may call apis and errors: kiel's own and Kafka's."""
from __future__ import absolute_import

import numbers

from kiel import constants

#: Kafka's names of apis that have another one in kiel
KAFKAS = {"listoffsets": "offset", "findcoordinator": "group_coordinator", "coordinator": "group_coordinator"}

#: Kafka's names of errors that have another one in kiel
KAFKAS_ERRORS = {
    "corrupt_message": 2, "invalid_fetch_size": 4, "not_leader_or_follower": 6, "not_leader_for_partition": 6,
    "message_too_large": 10, "coordinator_load_in_progress": 14, "invalid_topic_exception": 17,
    "record_list_too_large": 18, "topic_already_exists": 36, "unknown_server_error": -1,
}


def api(name):
    """
    Return kiel's name of an api: "offset" for "ListOffsets" or "list_offsets".

    :raises ValueError: if there is no such API
    """
    plain = str(name).replace("_", "").lower()
    for own in constants.API_KEYS:
        if own.replace("_", "") == plain:
            return own
    if plain in KAFKAS:
        return KAFKAS[plain]
    raise ValueError("%r is no api; these are: %s" % (name, ", ".join(sorted(constants.API_KEYS))))


def error(given):
    """
    Return the code of an error, given by its code, its name or its class in `kiel.exc`.

    :raises ValueError: if it is not an error of Kafka
    """
    code = given if isinstance(given, numbers.Integral) else getattr(given, "code", None)
    if code is None:
        name = str(given).lower()
        code = dict((own, code) for code, own in constants.ERROR_CODES.items()).get(name, KAFKAS_ERRORS.get(name))
    if code == 0 or code not in constants.ERROR_CODES:
        raise ValueError("%r is no error of Kafka's: give a code, a name or a class, such as 6,"
                         " \"not_partition_leader\" or kiel.exc.NotPartitionLeaderError" % (given,))
    return code
