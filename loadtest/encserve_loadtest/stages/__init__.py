"""Stages of a plan, each of which fills in the findings."""
