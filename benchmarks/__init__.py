"""Speed against peers and limits; `make bench` runs every file here that has a `main`."""
