"""Priors: what a user gives, the defaults, and their compiled log densities."""
