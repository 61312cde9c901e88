"""Mirrors Knitfab's Runs, knitIds, params and metrics into MLflow, and compares fine-tunes."""
