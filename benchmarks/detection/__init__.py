"""How well rows that are wrong are found, by scores of ours and of others."""
