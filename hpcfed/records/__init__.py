"""Files that outlive a process, and their only readers and writers."""
