"""The marginal likelihood, effects and coefficients integrated out, with its gradient."""
