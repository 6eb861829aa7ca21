"""What holds a run, whatever it trains: ranks, seeds, files, signals, checkpoints."""
