"""Runs on disk. Nothing here imports torch, so that runs are listed without delay."""
