"""What an adapter holds, and how it moved."""
