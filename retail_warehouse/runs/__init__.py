"""Scheduled runs of the warehouse on Amazon Redshift: what is copied, loaded, built, predicted and published, and in
which order."""
