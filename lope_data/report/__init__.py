"""What a version holds and how two differ, for people: on a terminal and on a page."""
