"""The pipelines behind the gateway: their names, what several dialects ask of them, and how they are."""
