"""From overrides on a command line to a config that was checked whole, and from there to objects."""
