"""Reports as one HTML file each: markup, style and script are in it, and nothing is loaded."""

from __future__ import annotations
