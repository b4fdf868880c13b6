"""Tasks: LightningModules that own loss, metrics, decoding and plots of one kind of problem."""
