"""The embedded world: digit-list problems and a tiny policy with a latent skill.

Everything here runs offline on a laptop. ``problems`` makes unlimited problems, ``pretrain`` made
the shipped checkpoints, and the folders ``digits`` and ``digits_decisive`` hold them.
"""
