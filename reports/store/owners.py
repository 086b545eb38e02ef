"""Which process has an evaluation in hand, and whether it still lives."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

SILENT_SECONDS = 120.0
"""A process of another machine that has given no sign of life for so long is taken as ended."""


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: its machine.
        process: its number there.
        began: when it began, as the system counts; empty where it does not say.
    """

    host: str
    process: int
    began: str

    @classmethod
    def this(cls) -> Owner:
        """Return this process."""
        return cls(platform.node(), os.getpid(), _began(os.getpid()))

    def lives(self, beat: float) -> bool:
        """Return whether the process may still be at work.

        Args:
            beat: its last sign of life, seconds since 1970.
        """
        if self.host == platform.node() and Path("/proc/self").exists():
            return bool(self.began) and _began(self.process) == self.began
        return time.time() - beat < SILENT_SECONDS


def _began(process: int) -> str:
    """Return the start of a process in clock ticks since the system's, with the system's own start."""
    try:
        ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    # A process that ended and that nobody has asked how is none any more.
    return "" if ticks[0] == "Z" else f"{boot}:{ticks[19]}"
