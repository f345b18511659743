"""How servers at ``ssl:`` and this program know each other."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.problem import Unavailable


class Certificates(NamedTuple):
    """Files in PEM: key and certificate of this program, and the certificate of who signed that of the server."""

    key: str = ""
    certificate: str = ""
    authority: str = ""

    def check(self) -> None:
        """Raises ``Unavailable`` unless all are there and can be read."""
        for what, path in zip(("key", "certificate", "certificate of the authority"), self, strict=True):
            if not path:
                raise Unavailable(f"a database at ssl: needs a {what}: give --ovn-key, --ovn-certificate and --ovn-ca")
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                raise Unavailable(f"the {what} cannot be read: {path}: {error.strerror}") from error


NO_FILES = Certificates()
