"""The adapter: its configuration, layer, experts and modes, as PEFT has them."""
