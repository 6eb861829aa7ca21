"""The commands, and the one place where the parts that a configuration names are put together."""
