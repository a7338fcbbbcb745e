"""The user's side of a terminal."""

import os
import select
import time


class Typewriter:
    """The user's side of a terminal: what is shown on it, and the keys."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.shown = b""

    def read_until(self, done, timeout=10):
        """Reads what is shown until `done()`."""
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, self.shown
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.terminal, 65_536)
                except OSError:
                    # Nobody has it open any more.
                    assert done(), self.shown
                    return

    def press(self, keys):
        """Types, and forgets what was shown before."""
        self.shown = b""
        os.write(self.terminal, keys)
