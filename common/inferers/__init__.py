"""How a network is applied to a preprocessed scan."""
