"""The reward where others call it: TRL, verl, and whoever has many answers and several processors.

Nothing here imports a trainer; the functions have the shape that the trainers call.
"""
