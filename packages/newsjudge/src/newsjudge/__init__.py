"""Judges predicted news labels with an LLM, one table of label pairs instead of one call a sample."""
