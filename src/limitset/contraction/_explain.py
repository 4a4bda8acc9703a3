"""An answer in words: the claim, the inequality behind it, and where it is tightest."""

from limitset._result import InputProblem
from limitset.contraction._certificate import Answer, Certificate, Refuted, Unknown
from limitset.contraction._weakness import Weakness, find_weakness

_MENTIONED = 0.005
# These rest on a certificate of the flow.
_OF_THE_FLOW = ("backward_euler", "euler_step")

# Every theorem has an entry: what it asks of the system, in a few words.
INEQUALITIES = {
    "absolute_value": "slope-weighted |W|, with positive self-weights only, is below the leak",
    "singular_value": "largest slope times |S W S^-1|_2 is below the leak",
    "vertices": "sym(M J) <= -rate M at every corner of the slope box",
    "sector": "with multipliers for the sector of every slope, one matrix is negative definite",
    "metzler": "in a weighted sum or maximum, the sums of all columns or rows of J are <= -rate",
    "skew_feedback": "modules contract, and the coupling is skew in their metric",
    "composition": "parts contract, and the coupling does not expand in their joint metric",
    "small_gain": "parts contract faster than their gains on one another can undo",
    "input_gates": "no gate stops its unit, and the coupling outside them is skew in the metric",
    "ren": "with multipliers for the units' slopes, one matrix is positive definite",
    "backward_euler": "the flow contracts at the rate lam; the factor is 1 / (1 + step lam)",
    "diagonal_linear": "every |lambda| is below 1",
    "cascade": "every layer contracts by more than the relays from the layers below can add",
    "deep_block": "the steps' matrices have norm below 1 in one metric, at all slopes",
    "euler_step": "the flow contracts at the rate lam, and step |J|_M^2 is below 2 lam",
}


def weakest_direction(answer: Answer) -> Weakness | None:
    """Where the inequality behind an answer is tightest, or by how much it fails and where.

    For a certificate, the inequality of its theorem in its metric. For an unknown answer of
    `certify`, that of the theorem which came closest. It is a diagnosis in float64, made for
    whoever wants to move the weights, and proves nothing.

    **Returns:** a `Weakness`, or `None`: for refutations, for theorems whose inequality has no one
    direction, and for systems of more than 1024 states (sums and maxima excepted).

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import AbsoluteValue, certify
    >>> from limitset.networks import RateNetwork
    >>> network = RateNetwork(jnp.diag(jnp.array([0.5, 1.5, 0.0])))
    >>> found = weakest_direction(certify(network, theorems=(AbsoluteValue(),)))
    >>> found is None  # refuted: an eigenvalue is positive
    True
    >>> network = RateNetwork(jnp.array([[0.5, 0.0], [0.0, -2.0]]))
    >>> found = weakest_direction(certify(network, theorems=(AbsoluteValue(),)))
    >>> round(found.slack, 3), found.largest(1)
    (0.5, (0,))
    """
    _require_answer(answer)
    if isinstance(answer, Refuted):
        return None
    if isinstance(answer, Certificate):
        if answer.theorem in _OF_THE_FLOW and len(answer.parts) == 1:
            return weakest_direction(answer.parts[0])
        return find_weakness(answer.theorem, answer.system, answer.metric)
    if answer.system is None:
        return None
    tried = [find_weakness(a.theorem, answer.system, answer.metric) for a in answer.tried]
    known = [weakness for weakness in tried if weakness is not None]
    return max(known, key=lambda w: w.slack / (abs(w.bound) + abs(w.limit) + 1e-300), default=None)


def explain(answer: Answer) -> str:
    """The answer in a few lines: claim, theorem, inequality, slack, weakest direction, attempts.

    Numbers marked float64 are a diagnosis, and prove nothing.

    >>> from limitset.contraction import Unknown
    >>> print(explain(Unknown("the bound 1.04 exceeds 1")))
    unknown: the bound 1.04 exceeds 1
    """
    _require_answer(answer)
    if isinstance(answer, Certificate):
        lines = [answer.claim(), f"  theorem {answer.theorem}: {INEQUALITIES[answer.theorem]}"]
        pairs = zip(answer.module_theorems, answer.module_bounds, strict=True)
        for index, (theorem, bound) in enumerate(pairs):
            lines.append(f"  module {index}: {theorem} bound {bound:.6g}")
        lines += [f"  coupling bound {bound:.6g}" for bound in answer.coupling_bounds]
        lines.append(f"  margin {answer.margin:.6g}, cond(M) {answer.condition:.3g}")
        if answer.float32 is not None:
            lines.append(
                f"  float32, |u| <= {answer.float32.input_bound:g}: {answer.float32.claim()}"
            )
    else:
        word = "unknown" if isinstance(answer, Unknown) else "refuted"
        lines = [f"{word}: {answer.reason}"]
    if isinstance(answer, Unknown) and answer.pair is not None:
        lines.append("  the coupling that expands: between parts {} and {}".format(*answer.pair))
    weakness = weakest_direction(answer)
    if weakness is not None:
        lines += _described(weakness, isinstance(answer, Certificate))
    lines += [f"  tried {a.theorem}: {a.reason}" for a in answer.tried]
    return "\n".join(lines)


def _require_answer(given: object) -> None:
    if not isinstance(given, Certificate | Unknown | Refuted):
        raise InputProblem(f"{type(given).__name__} came; give an answer of `certify` or `compose`")


def _described(weakness: Weakness, proved: bool) -> list[str]:
    holds = weakness.slack > 0
    # The worst that a search found may be harmless where a theorem's bound is too coarse.
    remark = " (found by a search, not proved)" if holds and not proved else ""
    numbers = f"{weakness.bound:.6g} {'<' if holds else 'is not below'} {weakness.limit:.6g}"
    what = "slack" if holds else "violated by"
    lines = [f"  {weakness.theorem}: {numbers}, {what} {abs(weakness.slack):.6g}{remark} [float64]"]
    # Units, and modules, that hardly take part are not worth a word.
    units = [
        f"unit {i} ({weakness.shares[i]:.0%})"
        for i in weakness.largest()
        if weakness.shares[i] >= _MENTIONED
    ]
    lines.append(f"  {'weakest' if holds else 'violating'} direction [float64]: {', '.join(units)}")
    if weakness.modules:
        shares = [(i, share) for i, share in enumerate(weakness.modules) if share >= _MENTIONED]
        ranked = sorted(shares, key=lambda pair: -pair[1])[:3]
        lines.append("  modules in it: " + ", ".join(f"{i} ({share:.0%})" for i, share in ranked))
    if weakness.pair is not None:
        first, second = weakness.pair
        lines.append(f"  the coupling that expands: between modules {first} and {second}")
    return lines
