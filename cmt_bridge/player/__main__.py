"""Run the player's process."""

import sys

from cmt_bridge.player.process import main

if __name__ == "__main__":
    sys.exit(main())
