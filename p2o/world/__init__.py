"""The embedded world: tiny policies with a latent skill; `p2o.data.digits` makes their problems.

Everything here runs offline on a laptop. The folders ``digits``, ``digits_decisive`` and
``digits_willing`` hold the policies, which ``pretrain`` trained on what ``examples`` draws;
``measure`` says what they can do, and ``ancestry`` whether a policy was trained from one.
``phrasebook.txt`` has phrases to search among. ``gullible`` is a verifier that can be gamed, and
``strict`` says of a run what it hides.
"""
