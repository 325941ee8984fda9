"""Who works on which run, and how a run is worked on."""
