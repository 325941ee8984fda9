"""Who the clients are: which samples they own, and who takes part in a round."""
