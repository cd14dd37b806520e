"""A batch of texts as one buffer: cells, spans, graphemes, edits, and the random numbers drawn for them."""
