"""The pipelines behind the gateway: which name means which, and how they are."""
