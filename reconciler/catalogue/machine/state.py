"""What must hold before, and is seen after, in the words that many operations of machines share."""

from __future__ import annotations

RUNNING = "the VM is running"
STOPPED = "the VM is shut off"
EXISTS = "the VM exists"
