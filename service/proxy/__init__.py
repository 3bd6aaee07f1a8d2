"""The request path: what a request is, which store answers it, and how it gets there."""
