"""The control plane: stages, who confirmed them, and how they change."""
