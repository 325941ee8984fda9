"""What training takes: samples with labels and groups, as events or as images."""
