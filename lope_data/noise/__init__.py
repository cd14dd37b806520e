"""The noise ops. Importing this package registers them; a new op is one decorated function in one of its modules."""

from lope_data.noise import char, glyph, label, nlpaug_op, response, spelling, structure, word

__all__ = ["char", "glyph", "label", "nlpaug_op", "response", "spelling", "structure", "word"]
