"""The rewards, by similarity and by execution, for callers outside of this program: TRL, verl, batches of answers.

Nothing here imports a trainer; the functions have the signatures that the trainers call.
"""
