"""From the certificate of a flow to that of the map which a scheme runs, and the longest step."""

import math
from dataclasses import replace

from limitset._result import InputProblem
from limitset._system import AbstractFlow
from limitset.contraction._certificate import (
    Certificate,
    Refuted,
    Unknown,
    require_certificate,
)
from limitset.contraction._certify import certify
from limitset.contraction._euler_step import euler_certificate
from limitset.contraction._implicit import implicit_certificate
from limitset.dynamics import AbstractScheme, ImplicitMap, discretise

# Between the step that is returned and one that failed.
_CLOSE = 1 + 1e-3
_MOST_HALVINGS = 60


def discrete_factor(
    certificate: Certificate, scheme: AbstractScheme, *, input_bound: float | None = 1.0
) -> Certificate | Unknown:
    """What is certified of the map that runs: the flow's certificate says nothing about its steps.

    The best of what the theorems prove about `discretise(certificate.system, scheme)` in the same
    metric, and of the bounds that follow from the flow's rate alone: `1 / (1 + h rate)` for
    backward Euler, `sqrt(1 - 2 h rate + h^2 |J|_M^2)` for explicit Euler.

    **Arguments:**

    - `certificate`: of a flow, from `certify`.
    - `scheme`: what runs, with its step.
    - `input_bound`: as in `certify`.

    **Returns:** a `Certificate` with a factor below 1, or `Unknown` with the bounds that are not.

    **Raises:** `InputProblem` if the certificate is that of a map, or the scheme does not apply.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import BackwardEuler, ExplicitEuler
    >>> from limitset.networks import RateNetwork
    >>> flow = certify(RateNetwork(jnp.array([[-6.0]])))
    >>> discrete_factor(flow, BackwardEuler(1.0)).factor < 0.51
    True
    >>> discrete_factor(flow, ExplicitEuler(1.0)).reason.split(";")[0]
    'the map of ExplicitEuler at step 1 is not certified: an eigenvalue leaves the unit circle'
    """
    flow = require_certificate(certificate).system
    if certificate.rate is None or not isinstance(flow, AbstractFlow):
        raise InputProblem(
            "the certificate is that of a map already; give that of a flow, or use it as it is"
        )
    if not 0 < certificate.rate < math.inf:
        raise InputProblem(f"the rate is {certificate.rate}; a certificate has a positive one")
    system = discretise(flow, scheme)
    found = certify(system, metric=certificate.metric, input_bound=input_bound)
    if isinstance(system, ImplicitMap):
        general = implicit_certificate(system, certificate)
    else:
        general = euler_certificate(system, certificate)
    if isinstance(general, Certificate):
        general = replace(general, evidence=min(general.evidence, certificate.evidence))
        if not isinstance(found, Certificate) or general.margin > found.margin:
            return replace(general, tried=found.tried)
    if isinstance(found, Certificate):
        return found
    reason = found.reason
    if isinstance(found, Refuted):
        reason = f"an eigenvalue leaves the unit circle; {reason}"
    start = f"the map of {type(scheme).__name__} at step {scheme.step:g} is not certified: "
    return Unknown(start + reason, found.tried)


def largest_step(
    certificate: Certificate, scheme: type[AbstractScheme], *, longest: float | None = None
) -> float | Unknown:
    """The longest step that `discrete_factor` certifies, to 0.1 %, found by bisection.

    The step that is returned is verified. A step 0.1 % longer was tried and not certified, which
    does not refute it.

    **Arguments:**

    - `certificate`: of a flow, from `certify`.
    - `scheme`: the class of a scheme, such as `ExplicitEuler`.
    - `longest`: the first step that is tried, and returned if it is certified; `10 / rate` if
      omitted, where the flow has forgotten all but `exp(-10)`.

    **Returns:** the step, in units of time, or `Unknown` if even `longest / 2^60` is not certified.

    **Raises:** `InputProblem` as `discrete_factor`, or if `longest` is not positive.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ExplicitEuler
    >>> from limitset.networks import RateNetwork
    >>> flow = certify(RateNetwork(jnp.array([[-6.0]])))
    >>> 0.28 < largest_step(flow, ExplicitEuler) < 2 / 7
    True
    """
    margin = require_certificate(certificate).margin
    if not (isinstance(scheme, type) and issubclass(scheme, AbstractScheme)):
        raise InputProblem(f"scheme is {scheme!r}; give the class of a scheme, as ExplicitEuler")
    longest = 10 / margin if longest is None else longest
    if not 0 < longest < math.inf:
        raise InputProblem(f"longest is {longest}; give a positive, finite number of time units")

    def certified(step: float) -> Certificate | Unknown:
        return discrete_factor(certificate, scheme(step), input_bound=None)

    answer = certified(longest)
    if isinstance(answer, Certificate):
        return longest
    low, high = longest, longest
    for _ in range(_MOST_HALVINGS):
        low, high = low / 2, low
        answer = certified(low)
        if isinstance(answer, Certificate):
            break
    if isinstance(answer, Unknown):
        return answer
    while high > low * _CLOSE:
        middle = math.sqrt(low * high)
        if isinstance(certified(middle), Certificate):
            low = middle
        else:
            high = middle
    return low
