"""What varies by which factor, working units, and the roots of the statistics."""
