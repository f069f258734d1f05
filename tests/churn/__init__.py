"""
A group whose members come, go, die and stand still at random, and a ledger that tells what became of every message.

``python -m tests.churn --seed 7 --seconds 300 --protocol consumer``, or ``make churn``.
"""
