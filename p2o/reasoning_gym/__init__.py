"""Problems of reasoning-gym and their verifier; the rest of p2o does without."""
