"""The policy writes a hint for one problem whose answer it is told."""

from p2o.reflection.base import ReflectionRequest
from p2o.reflection.language_model import PolicyReflection

ASK = """Here is a problem and what is known of its answer. Write one short hint for a student: \
what to look at, or which step comes first. Do not solve the problem, and do not mention the answer.

Problem:
{Inputs}

{Feedback}

Write the hint and nothing else."""


class PolicyHintWriter(PolicyReflection):
    """The current policy writes hints, of the problem and its gold answer (NuRL, SAGE).

    Args are those of `PolicyReflection`.
    """

    def question(self, request: ReflectionRequest) -> str:
        """Ask for a hint on the one problem of a request."""
        record = request.records[0]
        return ASK.format(Inputs=record["Inputs"], Feedback=record["Feedback"])
