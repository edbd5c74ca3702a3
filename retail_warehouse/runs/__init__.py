"""Runs of the warehouse on Amazon Redshift by a schedule: what is copied, loaded, built, predicted and published, in
which order."""
