"""Local learning (DECOLLE): layers learn by readouts of their own, in every time bin."""
