"""Draws from any density: NUTS, or importance sampling."""
