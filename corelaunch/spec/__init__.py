"""Reading and checking config.json (OCI runtime-spec). Every error names the JSON path of what is wrong."""
