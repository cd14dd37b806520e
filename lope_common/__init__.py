"""The ground floor: what both halves and pipelines need alike. It imports none of them.

errors: what a user can get wrong, and hints for misspelt names. cli: how a command line ends. shown: untrusted text
made fit to be seen. page: HTML pages. progress: bars. files: whole files and their hashes. locks: on files. places: the
store and the cache. recipes: by name. extras: libraries that are missing. hub: ids, tokens, errors. intervals: of
shares. faces: names imported when they are used.

A thing belongs here if two of lope_data, lope_train and pipelines do it; what one of them does stays there.
"""
