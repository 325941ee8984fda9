"""Unsupervised learning by the timing of spikes, in a layer whose neurons compete."""
