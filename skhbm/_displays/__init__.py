"""Displays after scikit-learn's convention, one in each module.

A display holds computed arrays and draws them. What it shows is computed elsewhere, and
matplotlib is imported by `drawing` alone, when something is drawn.
"""
