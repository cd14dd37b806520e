"""Where shards are built: here (`local`)."""
