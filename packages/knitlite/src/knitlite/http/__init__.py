"""The WebAPI over HTTP/1.1: a thin skin over an EmbeddedEngine. Decides nothing about plans, runs or data."""

from knitlite.http.app import App
from knitlite.http.server import Limits, Server

__all__ = ["App", "Limits", "Server"]
