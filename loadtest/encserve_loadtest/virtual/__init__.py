"""Servers whose capacity is known, in virtual time: what the estimator is held against."""
