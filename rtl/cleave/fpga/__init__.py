"""Primitives of FPGAs, for simulation, and the tools that place and route for them."""
