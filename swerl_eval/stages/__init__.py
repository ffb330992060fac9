"""The verbs of the method, one file each: localize, repair, select, evaluate; `draw` is shared by those that sample.

Not here yet: `reproduce` and `regress`, whose evidence `select` will take beside the candidates.
"""
