"""What is trained: the model, its log-probabilities on packed samples, its optimiser."""
