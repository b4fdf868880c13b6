"""What people see of a sweep: one page with everything, tables for the terminal, plots."""
