"""Audio data sets: sound files as spectrograms."""
