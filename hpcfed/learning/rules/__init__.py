"""The learning rules besides backpropagation."""
