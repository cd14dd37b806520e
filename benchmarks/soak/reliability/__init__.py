"""Whether the version store keeps what it promises when it is killed, crowded, damaged or out of room."""
