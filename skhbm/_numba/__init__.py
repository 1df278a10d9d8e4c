"""Lazy compilation, vector lanes, records and calls by address, threads."""
