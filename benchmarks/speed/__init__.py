"""How fast: noise beside its peers, a build beside `datasets`, the adapter beside PEFT's LoRA."""
