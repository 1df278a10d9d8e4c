"""Distributions of the response given the linear predictor, one file each."""
