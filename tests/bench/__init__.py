"""The benchmark: vecferry against a named peer, both measured in the same interleaved run."""
