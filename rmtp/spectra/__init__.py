"""Laws of eigenvalues and singular values: what the resolvent says on the real axis."""
