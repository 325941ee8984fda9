"""Pictures of probabilistic neurons and circuits that learn online, one a file, as of a run."""
