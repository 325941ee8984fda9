"""Federated rounds over MPI: participation, masking, exact sums, server, records."""
