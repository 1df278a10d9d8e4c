"""What comes from outside (arrays, labels, tables, files), checked once."""
