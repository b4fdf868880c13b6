"""Automatic choices: settings that the user leaves open, derived from facts of the data and the machine."""
