"""What SPEC's table of speeds says, measured side by side on this machine: `scripts/bench`. Not part of the tests."""
