"""Resumable, verified downloads and safe extraction of archives."""
