"""Output about a sweep: the report page, tables for the terminal, and plots."""
