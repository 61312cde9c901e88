"""The Knitfab engine on one machine: its WebAPI over SQLite, with process and container runners."""
