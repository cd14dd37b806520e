"""How the code hangs together: modules, imports between rooms, circles, and the way of one command through them."""
