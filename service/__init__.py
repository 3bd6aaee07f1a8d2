"""The proxy: HTTP edge, stores, translation, control plane and composition."""
