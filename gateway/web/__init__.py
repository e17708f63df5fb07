"""GraphQL over HTTP: what comes in at the door, who may ask from where, and how answers go out."""
