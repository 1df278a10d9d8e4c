"""Displays after scikit-learn's convention, each in a module that bears its name.

A display holds computed arrays and draws them. `of_groups`, `of_lines` and `of_predictions`
compute what it shows, and `terms` repeats it for several coefficients. `drawing` alone imports
matplotlib, when something is drawn.
"""
