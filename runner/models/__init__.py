"""Plain ``nn.Module``s and their builders; they know nothing of trainers, configs or tasks."""
