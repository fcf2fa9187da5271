"""Training of the models that the analysis ships; needs the extra `train`, the product does not."""
