"""Keeping two stores equal: intents, resync and the write paths of both directions of authority.

The rules R1 … R14 that the code names are explained in docs/protocol.md.
"""
