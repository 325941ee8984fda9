"""From a client's update to the root's exact sum."""
