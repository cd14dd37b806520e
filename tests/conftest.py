"""Settings of all tests."""

from hypothesis import settings

# The same examples in every run, and no time limit: a slow machine is not a failure.
settings.register_profile("lope", deadline=None, derandomize=True, database=None)
settings.load_profile("lope")
