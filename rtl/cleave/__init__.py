"""Cleave: a splittable systolic matrix engine in Amaranth, with its compiler, models and simulator."""
