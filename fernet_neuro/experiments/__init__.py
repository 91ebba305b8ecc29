"""Whole experiments: recipes, stages and the record of what ran."""
