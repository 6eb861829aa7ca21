"""What p2o costs, measured from outside: through its command line, as a user would run it."""
