"""``p2o-export``: a Hugging Face folder from any checkpoint of a training run."""
