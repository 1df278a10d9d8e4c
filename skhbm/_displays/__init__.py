"""Displays after scikit-learn's convention, each in a module that bears its name.

A display holds computed arrays and draws them. `of_groups` and `of_predictions` compute what it
shows, and `drawing` alone imports matplotlib, when something is drawn.
"""
