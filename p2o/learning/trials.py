"""What a search is told of a rollout."""

from p2o.rollout.runner import Rollout
from p2o_callbacks.protocols import TemplateTrial


def trial_of(rollout: Rollout) -> TemplateTrial:
    """Say of a rollout what a reflection model should know: response, verdict, gold answer."""
    prompt, score = rollout.prompt, rollout.score
    if rollout.crowded:
        feedback = "The instruction is too long for the prompt budget; write a much shorter one."
        return TemplateTrial(
            0.0, False, prompt.question, rollout.response, feedback, answers=prompt.golds
        )
    if score.failed:
        feedback = f"The answer could not be checked. The correct answer is {prompt.gold}."
    elif score.solved:
        feedback = f"Correct. The answer is {prompt.gold}."
    elif score.answer is None:
        feedback = f"No answer was found in the response. The correct answer is {prompt.gold}."
    else:
        feedback = f"Wrong: the answer given was {score.answer}, the correct one is {prompt.gold}."
    if score.detail:
        feedback += f" ({score.detail})"
    return TemplateTrial(
        score.reward,
        score.solved,
        prompt.question,
        rollout.response,
        feedback,
        answers=prompt.golds,
    )
