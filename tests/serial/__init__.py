"""The serialised mode: it finds what is wrong, repeats it exactly, and leaves nothing behind."""
