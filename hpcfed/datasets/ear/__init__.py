"""The inner ear: from sound to spikes."""
