"""The leaf: values that every layer shares. Imports nothing else of ours."""
