"""Kernels of networks: covariances of a program at pairs of inputs."""
