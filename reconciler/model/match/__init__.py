"""OVN's match language: which packets a rule is for (ovn-sb(5), table Logical_Flow, column match). Pure."""

from reconciler.model.match.expansion import expanded
from reconciler.model.match.parser import parse
from reconciler.model.match.syntax import Expression, MatchError

__all__ = ["Expression", "MatchError", "expanded", "parse"]
