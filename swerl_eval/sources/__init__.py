"""Where issues, answers and repository contents come from.

`datasets` reads rows, `selection` chooses among them, `repositories` gives a repository's contents at a commit.
"""
