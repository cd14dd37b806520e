"""The noise ops. Importing this package imports its modules, and these register their ops: a new one is found by lying
here.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
