"""`python -m jobs …`: the operator's tools."""

import os
import sys

from jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
