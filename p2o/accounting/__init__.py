"""What a run has spent, and what a search has paid for already."""
