"""Composes configs from command-line overrides, checks them, and builds the objects they describe."""
