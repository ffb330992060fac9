"""The reward for callers outside of this program: TRL, verl, and batches of answers over several processes.

Nothing here imports a trainer; the functions have the signatures that the trainers call.
"""
