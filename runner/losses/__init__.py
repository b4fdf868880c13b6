"""Loss functions that are not available in PyTorch in the required form."""
