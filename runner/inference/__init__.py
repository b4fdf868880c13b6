"""Trained runs in use: loaded, evaluated, asked for predictions."""
