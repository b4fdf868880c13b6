"""What holds a model back from learning by heart, as callbacks of the training."""
