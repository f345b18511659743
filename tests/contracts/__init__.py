"""What every implementation of a seam must do. Tests inherit a contract and give it one fixture."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.cluster_contract")
