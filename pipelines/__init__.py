"""Whole experiments from recipes, the only code that uses both halves: the demo, studies, and their pages.

Rooms from the bottom up: study, results, page, steps, cli. Recipes of noise are in `data/`, of training in `train/`,
the paper's studies in `paper/`: a study or a pipeline is added as one TOML file. What a step does is in the halves,
which it calls as a user would.
"""
