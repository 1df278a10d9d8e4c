"""What a posterior is made of: draws, coefficients, effects, moments, tables."""
