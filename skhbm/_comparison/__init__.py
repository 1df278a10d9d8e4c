"""What the draws say without some rows, or with more."""
