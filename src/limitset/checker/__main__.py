"""`python -m limitset.checker [--json] [--model DIR] FILE...`: one verdict a line.

Exit code 0: all claims were proved again; 1: one was not; 2: a file or argument is unusable.
"""

import argparse
import json
import sys
from typing import NoReturn

from limitset.checker import Unusable, Verdict, check


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main() -> int:
    """Check the files that the command line names; the worst of their exit codes."""
    parser = _Parser("python -m limitset.checker", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a certificate")
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    parser.add_argument("--model", metavar="DIR", help="the model folder to compare with")
    arguments, worst = parser.parse_args(), 0
    for name in arguments.files:
        try:
            verdict = check(name, arguments.model)
            code, word = (0, "accepted") if verdict.accepted else (1, "rejected")
        except Unusable as error:
            verdict, code, word = Verdict(False, "", str(error)), 2, "unusable"
        parts = filter(None, (word, ascii(name), verdict.claim, verdict.reason))
        line = json.dumps(vars(verdict)) if arguments.json else ": ".join(parts)
        print(line.encode("ascii", "backslashreplace").decode())
        worst = max(worst, code)
    return worst


if __name__ == "__main__":
    sys.exit(main())
