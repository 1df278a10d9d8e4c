"""The public estimators: parameters, orchestration, methods and their files."""
