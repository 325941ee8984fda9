"""Probabilistic neurons and winner-take-all circuits that learn online (FL-SNN, VOWEL)."""
