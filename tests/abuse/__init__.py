"""One hostile guest, one hostile user and one host without an identity against everybody else."""
