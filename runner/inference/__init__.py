"""Use of trained runs: loading, evaluation, prediction, generation, embeddings."""
