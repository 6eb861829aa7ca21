"""gepa's own meta-prompt, and how a template is read out of what a language model answers."""

from typing import cast

from gepa.strategies.instruction_proposal import InstructionProposalSignature

from p2o.reflection.base import ReflectionRequest

FENCE = "```"


def render_meta_prompt(request: ReflectionRequest) -> str:
    """Ask for a better template: the parent and its records, without scores."""
    records = [
        {name: value for name, value in record.items() if name not in ("score", "solved")}
        for record in request.records
    ]
    prompt = InstructionProposalSignature.prompt_renderer(
        {"current_instruction_doc": request.template, "dataset_with_feedback": records}
    )
    # gepa answers with a list of messages for records with images only.
    return cast(str, prompt)


def extract_template(text: str, cut_off: bool = False) -> str | None:
    """The template in an answer to a meta-prompt; None when there is none.

    It is what stands in the code block, or all of the answer when there is no block. A reasoning
    block in front of the answer is left out. Text without words is no template, and neither is a
    fragment: what stands in a block that is not closed, or, without a block, an answer cut off.

    Args:
        text: The answer.
        cut_off: Whether it ended at its length limit.
    """
    answer = _strip_reasoning(text)
    fences = answer.count(FENCE)
    unclosed = fences == 1 and bool(answer.partition(FENCE)[2].strip())
    if unclosed or (cut_off and (fences == 0 or fences % 2)):
        return None
    instruction = InstructionProposalSignature.output_extractor(answer)["new_instruction"]
    return instruction if any(map(str.isalnum, instruction)) else None


def _strip_reasoning(text: str) -> str:
    """Leave out ``<think>...</think>`` in front; templates may well speak of such tags later on."""
    opened = text.lstrip().startswith("<think>")
    reasoning, closed, answer = text.partition("</think>")
    if not closed:
        return "" if opened else text
    # Some chat templates put the opening tag into the prompt, so that only the closing one is here.
    return answer if opened or "<think>" not in reasoning else text
