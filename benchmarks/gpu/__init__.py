"""What `make gpu` runs: tests, exports, certificates and measurements on a machine with one NVIDIA card."""
