"""The tables that ops read: characters, confusables, words, WordNet."""
