"""Qdrant's Rust core as a store: an async front and engine processes behind it."""
