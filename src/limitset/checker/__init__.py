"""A certificate file -> accepted or rejected; imports python-flint and the standard library, nothing of limitset."""  # noqa: E501

from limitset.checker._check import Verdict as Verdict
from limitset.checker._check import check as check
from limitset.checker._document import Unusable as Unusable
