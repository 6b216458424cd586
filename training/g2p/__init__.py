"""Training recipe of the model `g2p-en` (English spelling to ARPAbet with stress)."""
