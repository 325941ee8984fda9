"""What a client does: local training and evaluation, by rule and by engine."""
