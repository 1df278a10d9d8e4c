"""New rows: linear predictors, mixtures, quantiles, scores, calibration."""
