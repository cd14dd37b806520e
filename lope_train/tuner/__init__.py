"""The adapter: its configuration, layer, experts, modes and ways of inference, under PEFT's file names.

`model` makes it known to peft, and the hooks in `lope_train/__init__.py` import that as soon as peft is there. It is
not done here, since settings and command lines read `inference` without peft. What trains with it is in
`lope_train.methods`.
"""
