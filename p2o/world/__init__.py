"""The embedded world: digit-list problems and a tiny policy with a latent skill.

Everything here runs offline on a laptop. ``problems`` makes unlimited problems, ``pretrain`` made
the shipped checkpoints of what ``examples`` draws, and the folders ``digits``, ``digits_decisive``
and ``digits_willing`` hold them.
"""
