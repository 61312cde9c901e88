"""Conducts the workspace: inputs, plan files, the demo."""
