"""The commands; nothing else parses arguments."""
