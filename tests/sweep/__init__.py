"""Every error code of Kafka's in every answer: does a client recover, or say clearly that it can't?"""
