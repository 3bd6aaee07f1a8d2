"""Requests made from our own OpenAPI document, sent to Qdrant's engine and to a vecferry without any Qdrant."""
