"""Rows reduced to cells, whose statistics add."""
