"""What people see of a run: tables on the console, one page with everything."""
