"""Drawings of signs and roadsides, and the data sets and samples made from them."""
