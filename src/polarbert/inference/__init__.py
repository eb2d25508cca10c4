"""Scoring without torch: engines, predictors, files."""
