"""Runs on disk. Nothing here imports torch, so that listing runs starts quickly."""
