"""The density of the unconstrained hyperparameters, and the PyMC model that says the same."""
