"""What `make bench` runs: the directory beside its peers, on the same data, in one run."""
