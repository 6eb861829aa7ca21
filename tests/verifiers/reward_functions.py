"""Reward functions as a user might write them."""

import asyncio

from p2o.verifiers import Score, Status


def lengths(responses, prompts):
    return [len(r) / 10 for r in responses]


async def slowly(responses, prompts):
    await asyncio.sleep(0.01)
    return [Score(1.0, Status.OK, r) for r in responses]


def mixed(responses, prompts):
    return [True, None, {"reward": 0.5, "status": "parse_error"}, float("nan"), "much", {}]


number = 3
