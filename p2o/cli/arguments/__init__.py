"""What commands without Hydra are called with, read before torch is imported."""
