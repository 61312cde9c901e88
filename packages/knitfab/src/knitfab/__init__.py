"""Knitfab as others see it: records, plan files, wire forms, client, and the Engine contract."""
