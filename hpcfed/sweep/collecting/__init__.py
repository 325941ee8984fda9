"""All run files of a sweep in one."""
