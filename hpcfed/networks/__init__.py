"""What is computed: layouts of parameters, and differentiable networks."""
