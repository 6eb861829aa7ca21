"""From a command line and yaml files to parts; what is wrong is said in one line."""
