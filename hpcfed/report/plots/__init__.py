"""The figures by the names under which ``hpcfed plot`` draws them, each with its tables."""
