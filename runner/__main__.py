"""``python -m runner`` is ``runner``."""

import os
import sys

if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    # -m puts the working directory first, where a file such as json.py would replace the standard library's.
    sys.path.append(sys.path.pop(0))

from runner.cli import main

if __name__ == "__main__":
    sys.exit(main())
