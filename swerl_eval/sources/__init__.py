"""Where issues, answers and repository contents come from.

`datasets` reads rows, `choice` chooses among them, `rows` checks the chosen ones, `repositories` gives a repository's
contents at a commit, and `user_files` reads predictions and file lists.
"""
