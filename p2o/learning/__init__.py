"""From scored groups to updates: credit, experience, loaders, the LightningModule."""
