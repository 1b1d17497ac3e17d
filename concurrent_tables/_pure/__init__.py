"""The readable specification: every table in Python, with the algorithms of the C core.

Explicit index and entries, real locks, epochs. Nothing here wraps a builtin `dict` or `set`.
"""
