"""The rules: standard library only, no clock, no environment, no async."""
