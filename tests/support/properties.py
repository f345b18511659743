"""How properties of whole stacks are tried: an example takes seconds, and is large."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

slow = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    # Not the one that explains: it traces each line, and a failure that is made smaller takes many minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
