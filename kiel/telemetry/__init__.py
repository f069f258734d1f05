"""
Numbers of clients for those who run the brokers (KIP-714): what `kiel.metrics` counts is pushed to the cluster, where
somebody there has subscribed to it.

`names` says which numbers there are and what they are called, `counts` counts, `otlp` makes bytes of them, `push` has
the conversation with the broker.
"""
