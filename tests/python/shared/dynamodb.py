"""Clients of the server that stands in for DynamoDB."""

import boto3
from botocore.config import Config

SECRET = "not-to-be-told"


def client_of(endpoint: str, **config):
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="AKIAFAKE",
        aws_secret_access_key=SECRET,
        config=Config(**{"retries": {"total_max_attempts": 1}, "read_timeout": 20, **config}),
    )
